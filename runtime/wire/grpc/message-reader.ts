import { BufferPool } from "../../base/buffer-pool.ts";
import { KiB, MiB } from "../../base/units.ts";
import { keepChunk } from "../http2/chunks.ts";
import { GrpcFailure, grpcCodes } from "./status.ts";

/** Before each message: a flag, and its length in four bytes. @source gRPC over HTTP/2, "Length-Prefixed-Message". */
const prefixBytes = 5;
/** Room that is made for a message on its word alone: pages that nobody writes to cost nothing. */
const roomBytesMax = 256 * KiB;
/** A message that is less than a quarter of the chunk that it came in is copied, or it would keep all of it. */
const chunkBytesMin = 16 * KiB;

/** Rooms of messages that were taken, for the next ones. */
const rooms = new BufferPool(4 * MiB);

/** What holds the bytes of a message may be used for another one: nobody looks at them any more. */
export function giveBackMessage(message: Uint8Array): void {
  rooms.give(message);
}

/** Puts the messages of a call together from the bytes that come. */
export class MessageReader {
  readonly #messageBytesMax: number;
  readonly #prefix = new Uint8Array(prefixBytes);
  #prefixAt = 0;
  /** What came of a message that did not come in one piece. */
  #room: Buffer<ArrayBuffer> | null = null;
  #roomAt = 0;
  #messageBytes = 0;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** A message has begun and not ended. */
  get isInside(): boolean {
    return this.#prefixAt > 0;
  }

  /** Of a message that has begun, bytes that are held here. */
  get heldBytes(): number {
    return this.#roomAt;
  }

  /**
   * Takes bytes, and hands out each message that they complete. It may be kept.
   * @throws GrpcFailure for a message that is too long or compressed.
   */
  push(bytes: Uint8Array, onMessage: (message: Uint8Array) => void): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#prefixAt < prefixBytes) {
        this.#prefix[this.#prefixAt++] = bytes[at++]!;
        if (this.#prefixAt < prefixBytes) continue;
        this.#begin();
        if (this.#messageBytes === 0) this.#end(new Uint8Array(0), onMessage);
        continue;
      }
      const count = Math.min(this.#messageBytes - this.#roomAt, bytes.length - at);
      const piece = bytes.subarray(at, at + count);
      at += count;
      if (count === this.#messageBytes) {
        this.#end(withoutChunk(piece), onMessage);
        continue;
      }
      const room = this.#add(piece);
      if (this.#roomAt === this.#messageBytes) {
        this.#end(room.subarray(0, this.#messageBytes), onMessage);
      }
    }
  }

  /** Gives up what came of a message, at once: a collection may be far away. Nothing may be pushed any more. */
  drop(): void {
    if (this.#room !== null) rooms.give(this.#room);
    this.#forget();
  }

  #forget(): void {
    this.#room = null;
    this.#roomAt = 0;
  }

  #begin(): void {
    const [flag = 0, a = 0, b = 0, c = 0, d = 0] = this.#prefix;
    this.#messageBytes = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    if (this.#messageBytes > this.#messageBytesMax) {
      throw new GrpcFailure(
        grpcCodes.resourceExhausted,
        `Cannot take a message of ${this.#messageBytes} bytes: the limit is ${this.#messageBytesMax}`,
      );
    }
    if (flag !== 0) {
      throw new GrpcFailure(
        grpcCodes.unimplemented,
        "Cannot read a compressed message: send it as it is",
      );
    }
  }

  #add(piece: Uint8Array): Buffer<ArrayBuffer> {
    const wantedBytes = this.#roomAt + piece.length;
    let room = this.#room ?? rooms.take(Math.min(this.#messageBytes, roomBytesMax));
    if (wantedBytes > room.length) {
      const grown = rooms.take(
        Math.min(this.#messageBytes, Math.max(wantedBytes, room.length * 2)),
      );
      grown.set(room.subarray(0, this.#roomAt));
      rooms.give(room);
      room = grown;
    }
    room.set(piece, this.#roomAt);
    this.#room = room;
    this.#roomAt = wantedBytes;
    return room;
  }

  #end(message: Uint8Array, onMessage: (message: Uint8Array) => void): void {
    this.#forget();
    this.#prefixAt = 0;
    onMessage(message);
  }
}

function withoutChunk(message: Uint8Array): Uint8Array {
  const chunkBytes = message.buffer.byteLength;
  if (chunkBytes >= chunkBytesMin && message.length * 4 < chunkBytes)
    return new Uint8Array(message);
  keepChunk(message);
  return message;
}

/** The prefix of a message of so many bytes that is not compressed. */
export function messagePrefix(messageBytes: number): Uint8Array {
  const prefix = new Uint8Array(prefixBytes);
  prefix[1] = messageBytes >>> 24;
  prefix[2] = messageBytes >>> 16;
  prefix[3] = messageBytes >>> 8;
  prefix[4] = messageBytes;
  return prefix;
}
