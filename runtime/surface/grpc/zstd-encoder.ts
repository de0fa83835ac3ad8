import zlib from "node:zlib";
import { MiB } from "../../base/units.ts";
import { CoderInput } from "./coder-input.ts";
import { type TakePiece, zstdOptions } from "./zstd.ts";

/** What an encoder holds (measured on Bun 1.4.5). */
export const encoderBytes = 1.5 * MiB;

/** Encodes bytes that come in pieces, as fast as what they come to is taken. */
export class Compressor {
  readonly #stream = zlib.createZstdCompress(zstdOptions);
  readonly #input = new CoderInput(this.#stream);
  readonly #running: Promise<void>;

  constructor(take: TakePiece) {
    this.#running = this.#run(take);
    this.#running.catch((error) => this.#input.fail(error));
  }

  /** @throws what the taker threw. */
  push(bytes: Uint8Array): Promise<void> {
    return this.#input.push(bytes);
  }

  async end(): Promise<void> {
    this.#stream.end();
    await this.#running;
  }

  [Symbol.dispose](): void {
    this.#stream.destroy();
  }

  async #run(take: TakePiece): Promise<void> {
    for await (const piece of this.#stream) await take(piece);
  }
}
