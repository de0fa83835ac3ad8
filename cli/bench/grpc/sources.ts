import type { Blobs } from "./blobs.ts";
import type { RequestSource } from "./call.ts";
import { writeHead } from "./messages.ts";

/** A request of its own for each call; one source serves one call at a time. */
export interface Requests extends RequestSource {
  begin(index: number): void;
}

/** Requests of one message. `bytesOf` may hand out the same buffer each time: it is sent before the next is asked for. */
export class WholeRequests implements Requests {
  readonly #bytesOf: (index: number) => Buffer;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(bytesOf: (index: number) => Buffer) {
    this.#bytesOf = bytesOf;
  }

  get isDone(): boolean {
    return this.#at === this.#bytes.length;
  }

  begin(index: number): void {
    this.#bytes = this.#bytesOf(index);
    this.#at = 0;
  }

  fill(into: Buffer, at: number, bytesMax: number): number {
    const count = Math.min(bytesMax, this.#bytes.length - this.#at);
    this.#bytes.copy(into, at, this.#at, this.#at + count);
    this.#at += count;
    return count;
  }
}

/** Writes of blobs in messages of so many bytes; no frame holds parts of two messages, as clients send them. */
export class BlobWrites implements Requests {
  readonly #blobs: Blobs;
  readonly #pieceBytes: number;
  readonly #nameOf: (index: number) => string;
  #index = 0;
  #head: Buffer = Buffer.alloc(0);
  #headAt = 0;
  /** Of the blob: bytes that are sent, and where the message ends that is being sent. */
  #sentBytes = 0;
  #messageEndBytes = 0;

  constructor(blobs: Blobs, pieceBytes: number, nameOf: (index: number) => string) {
    this.#blobs = blobs;
    this.#pieceBytes = pieceBytes;
    this.#nameOf = nameOf;
  }

  get isDone(): boolean {
    return this.#sentBytes === this.#blobs.sizeBytes;
  }

  begin(index: number): void {
    this.#index = index;
    this.#sentBytes = 0;
    this.#beginMessage(this.#nameOf(index));
  }

  fill(into: Buffer, at: number, bytesMax: number): number {
    const headBytes = Math.min(bytesMax, this.#head.length - this.#headAt);
    this.#head.copy(into, at, this.#headAt, this.#headAt + headBytes);
    this.#headAt += headBytes;
    const dataBytes = Math.min(bytesMax - headBytes, this.#messageEndBytes - this.#sentBytes);
    if (dataBytes > 0) {
      const blob = { index: this.#index, fromBytes: this.#sentBytes };
      this.#blobs.copy(blob, into, at + headBytes, dataBytes);
      this.#sentBytes += dataBytes;
    }
    const isMessageEnd = this.#sentBytes === this.#messageEndBytes;
    if (isMessageEnd && !this.isDone) this.#beginMessage("");
    return headBytes + dataBytes;
  }

  #beginMessage(resourceName: string): void {
    const { sizeBytes } = this.#blobs;
    const dataBytes = Math.min(this.#pieceBytes, sizeBytes - this.#sentBytes);
    this.#messageEndBytes = this.#sentBytes + dataBytes;
    this.#headAt = 0;
    this.#head = writeHead({
      resourceName,
      offsetBytes: this.#sentBytes,
      dataBytes,
      isLast: this.#messageEndBytes === sizeBytes,
    });
  }
}
