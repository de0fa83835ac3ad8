import type { Incoming } from "../../wire/grpc/method.ts";
import { decodeWrite, type WriteRequest } from "../../wire/proto/byte-stream-messages.ts";
import { needMessage } from "./requests.ts";

/** What ends an upload from outside: its blob is here, so that the rest of it is not needed. */
export class BlobIsHere extends Error {}

/**
 * The messages of one upload, which somebody else may end: because nothing comes any more, because another call goes on
 * with it, or because its blob is here.
 */
export class WatchedUpload {
  readonly #incoming: Incoming;
  readonly #nowMs: () => number;
  readonly #ended = Promise.withResolvers<void>();
  #reason: Error | null = null;
  #reject: ((reason: Error) => void) | null = null;
  /** Since when data is waited for. Messages without any do not count. */
  waitsSinceMs: number;
  /** False while it is the server that lets the client wait. */
  isAwaited = false;
  /** How long it may be waited for in all. */
  awaitedMsMax = Number.POSITIVE_INFINITY;
  #awaitedMs = 0;
  #hadData = true;
  #last: Uint8Array | null = null;
  /** A message came behind the last one. */
  hasMore = false;
  hasEnded = false;

  constructor(incoming: Incoming, nowMs: () => number) {
    this.#incoming = incoming;
    this.#nowMs = nowMs;
    this.waitsSinceMs = nowMs();
  }

  /**
   * The next message, at once if it is here, or null at the end of the client's side. The data of the one before is gone.
   * @throws what `Incoming.next` or `interrupt` say.
   */
  next(): WriteRequest | Promise<WriteRequest | null> {
    this.#giveBack();
    const bytes = this.#reason === null ? this.#incoming.nextAtOnce() : null;
    return bytes === null ? this.#wait() : this.#decode(bytes);
  }

  async #wait(): Promise<WriteRequest | null> {
    const startMs = this.#nowMs();
    if (this.#hadData) this.waitsSinceMs = startMs;
    this.isAwaited = true;
    const bytes = await this.#nextBytes();
    this.isAwaited = false;
    this.#awaitedMs += this.#nowMs() - startMs;
    return bytes === null ? null : this.#decode(bytes);
  }

  /** The last message, whose data was copied by now. */
  #giveBack(): void {
    if (this.#last !== null) this.#incoming.giveBack(this.#last);
    this.#last = null;
  }

  #decode(bytes: Uint8Array): WriteRequest {
    this.#last = bytes;
    const request = needMessage(decodeWrite(bytes), "WriteRequest");
    this.#hadData = request.data.length > 0;
    return request;
  }

  /** It has been waited for longer than it may. Counted up to the last message. */
  get isOverdue(): boolean {
    return this.#awaitedMs > this.awaitedMsMax;
  }

  /** What came waits for room on the disk, which other uploads may have to make. */
  setAside(isSetAside: boolean): void {
    this.#incoming.setAside(isSetAside);
  }

  /** From here on no message may come. Resolves when the client has ended its side, or has sent one all the same. */
  expectEnd(): Promise<void> {
    this.#incoming.allHasCome();
    return this.#nextBytes().then(
      (bytes) => {
        this.hasMore = bytes !== null;
        this.hasEnded = true;
      },
      () => {
        this.hasEnded = true;
      },
    );
  }

  /** The message that is waited for will not come, and none after it. */
  interrupt(reason: Error): void {
    this.#reason ??= reason;
    this.#reject?.(this.#reason);
  }

  /** It is over, and what is left of it can be gone on with. */
  end(): void {
    this.#ended.resolve();
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  #nextBytes(): Promise<Uint8Array | null> {
    return new Promise((resolve, reject) => {
      if (this.#reason !== null) {
        reject(this.#reason);
        return;
      }
      this.#reject = reject;
      this.#incoming.next().then(resolve, reject);
    });
  }
}
