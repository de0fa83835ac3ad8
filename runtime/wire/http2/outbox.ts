import { KiB } from "../../base/units.ts";
import { frameHeaderBytes } from "./frames.ts";

/** The part of Bun's socket that the engine uses. */
export type Http2Socket = {
  /** Bytes taken, fewer than given when the socket is full; negative when it is closed. */
  write(bytes: Uint8Array): number;
  /** Ends our side and reads on: `end` would reset a client that is still sending, which then never sees why. */
  shutdown(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
  setNoDelay(isOn: boolean): boolean;
};

/** One for all connections: used within one turn only. */
const bulk = Buffer.allocUnsafeSlow(320 * KiB);
const ownBytes = 2 * KiB;
const ownBytesMax = 32 * KiB;

/**
 * Gathers the frames of a turn and writes them with one call. What the socket does not take is kept, and nothing but
 * answers to control frames is added to it until it has gone.
 */
export class Outbox {
  readonly #socket: Http2Socket;
  #buffer = Buffer.allocUnsafeSlow(ownBytes);
  #own = this.#buffer;
  #at = 0;
  #rest: Uint8Array | null = null;
  #addedBytes = 0;
  /** Counts up with every byte that the socket took. */
  progress = 0;

  constructor(socket: Http2Socket) {
    this.#socket = socket;
  }

  /** The socket is full. */
  get isBlocked(): boolean {
    return this.#rest !== null;
  }

  /** What was added to it since: answers to control frames. */
  get addedBytes(): number {
    return this.#addedBytes;
  }

  /** Writes a frame's header; its payload follows by the methods below. `kind`: type times 256, plus flags. */
  frame(kind: number, streamId: number, lengthBytes: number): void {
    this.#reserve(frameHeaderBytes + Math.min(lengthBytes, ownBytes));
    const buffer = this.#buffer;
    const at = this.#at;
    buffer[at] = lengthBytes >>> 16;
    buffer[at + 1] = lengthBytes >>> 8;
    buffer[at + 2] = lengthBytes;
    buffer[at + 3] = kind >>> 8;
    buffer[at + 4] = kind;
    buffer[at + 5] = streamId >>> 24;
    buffer[at + 6] = streamId >>> 16;
    buffer[at + 7] = streamId >>> 8;
    buffer[at + 8] = streamId;
    this.#at = at + frameHeaderBytes;
  }

  uint16(value: number): void {
    this.#reserve(2);
    this.#at = this.#buffer.writeUInt16BE(value, this.#at);
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.#at = this.#buffer.writeUInt32BE(value, this.#at);
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
  }

  /** From here to `endBulk`, within one turn, there is room for much more. */
  beginBulk(): void {
    if (this.#at > ownBytesMax) this.flush();
    bulk.set(this.#own.subarray(0, this.#at));
    this.#buffer = bulk;
  }

  /** False when less than a whole frame fits any more. */
  hasBulkRoom(lengthBytes: number): boolean {
    return this.#at + frameHeaderBytes + lengthBytes <= bulk.length;
  }

  endBulk(): void {
    this.flush();
    this.#buffer = this.#own;
  }

  flush(): void {
    if (this.#at === 0) return;
    const bytes = this.#buffer.subarray(0, this.#at);
    this.#at = 0;
    if (this.#rest === null) {
      this.#write(bytes);
    } else {
      this.#rest = Buffer.concat([this.#rest, bytes]);
      this.#addedBytes += bytes.length;
    }
    // What a burst has made large does not stay so.
    if (this.#own.length > ownBytesMax) {
      this.#own = Buffer.allocUnsafeSlow(ownBytes);
      if (this.#buffer !== bulk) this.#buffer = this.#own;
    }
  }

  /** The socket has room again. */
  drained(): void {
    const rest = this.#rest;
    if (rest === null) return;
    this.#rest = null;
    this.#write(rest);
    // What goes out first is what stood there first.
    this.#addedBytes = Math.min(this.#addedBytes, this.#restBytes);
  }

  /** What was written and is no part of a burst of data. */
  get ownBytes(): number {
    return this.#at + this.#addedBytes;
  }

  get #restBytes(): number {
    return this.#rest?.length ?? 0;
  }

  /** Nothing goes out any more. */
  abandon(): void {
    this.#rest = null;
    this.#at = 0;
  }

  #write(bytes: Uint8Array): void {
    const count = Math.max(0, this.#socket.write(bytes));
    this.progress += count;
    if (count < bytes.length) this.#rest = new Uint8Array(bytes.subarray(count));
  }

  #reserve(lengthBytes: number): void {
    if (this.#at + lengthBytes <= this.#buffer.length) return;
    if (this.#buffer === bulk) {
      // Nobody fills it beyond what `hasBulkRoom` allows, except with the last frames of streams.
      this.flush();
      return;
    }
    const larger = Buffer.allocUnsafeSlow(
      Math.max(this.#buffer.length * 2, this.#at + lengthBytes),
    );
    larger.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = larger;
    this.#own = larger;
  }
}
