import { ConnectionFailure, errorCodes } from "./failure.ts";
import { resetStreamsMax } from "./limits.ts";
import type { Stream } from "./stream.ts";

/** The streams of a connection: those that are open, those that we have reset, and how far the client has counted. */
export class StreamTable {
  readonly #open = new Map<number, Stream>();
  /** Of these, frames may still come that the client sent before it knew. */
  readonly #reset = new Set<number>();
  /** The last one that the client has begun, and the last one that we have not refused. */
  lastId = 0;
  lastTakenId = 0;

  get size(): number {
    return this.#open.size;
  }

  get(streamId: number): Stream | undefined {
    return this.#open.get(streamId);
  }

  add(stream: Stream): void {
    this.lastTakenId = stream.id;
    this.#open.set(stream.id, stream);
  }

  delete(stream: Stream): void {
    this.#open.delete(stream.id);
  }

  all(): IterableIterator<Stream> {
    return this.#open.values();
  }

  noteReset(streamId: number): void {
    this.#reset.add(streamId);
    if (this.#reset.size <= resetStreamsMax) return;
    const [oldest] = this.#reset;
    if (oldest !== undefined) this.#reset.delete(oldest);
  }

  wasReset(streamId: number): boolean {
    return this.#reset.has(streamId);
  }

  /** @throws ConnectionFailure "protocolError" for a stream that the client has not begun. */
  checkNotIdle(streamId: number): void {
    if (streamId <= this.lastId && streamId % 2 === 1) return;
    const message = `The stream ${streamId} has not begun`;
    throw new ConnectionFailure(errorCodes.protocolError, message);
  }

  /** All of them are gone. */
  abandon(): void {
    const streams = [...this.#open.values()];
    this.#open.clear();
    for (const stream of streams) stream.abandon();
  }
}
