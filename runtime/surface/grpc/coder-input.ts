import type { Transform } from "node:stream";

/** The way into an encoder or decoder of the platform: one piece at a time, each taken before the next. */
export class CoderInput {
  readonly #stream: Transform;
  #failure: { readonly error: unknown } | null = null;
  #reject: ((error: unknown) => void) | null = null;

  constructor(stream: Transform) {
    this.#stream = stream;
  }

  /** Resolves once nobody looks at the bytes any more. @throws what `fail` was told. */
  push(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure.error);
    if (bytes.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      this.#stream.write(bytes, () => {
        this.#reject = null;
        if (this.#failure === null) resolve();
        else reject(this.#failure.error);
      });
    });
  }

  /** Nothing is taken any more. Whoever waits is told, though a thread may still look at his bytes. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stream.destroy();
    this.#reject?.(this.#failure.error);
    this.#reject = null;
  }
}
