import { ConnectionFailure, errorCodes } from "./failure.ts";
import { frameBytesMax, frameHeaderBytes, frameTypes, preface } from "./frames.ts";

export type FrameHeader = {
  readonly lengthBytes: number;
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
};

/** What takes the frames. */
export interface FrameTaker {
  /** A whole frame of any type but DATA. The payload is gone after the call. */
  frame(header: FrameHeader, payload: Uint8Array): void;
  /** Begins a DATA frame; @throws when it may not come. Its padding is part of its length. */
  dataBegins(header: FrameHeader): void;
  /** Bytes of the frame that has begun, as they come. Who keeps them says so by `keepChunk`. */
  dataBytes(bytes: Uint8Array): void;
  /** The frame that has begun is over. */
  dataEnds(): void;
}

/**
 * Cuts what a client sends into frames. DATA is passed on as it comes; any other frame is gathered first, as none is
 * longer than 16 KiB.
 */
export class FrameCutter {
  readonly #taker: FrameTaker;
  /** Of a header, or of a whole frame that is not DATA; what came so far. */
  #held: Uint8Array | null = null;
  #prefaceAt = 0;
  /** Of the DATA frame that has begun: bytes to come, padding among them, which comes last. */
  #dataLeft = 0;
  #padLeft = 0;
  #awaitsPadLength = false;
  #isInData = false;
  #frames = 0;
  #isStopped = false;

  constructor(taker: FrameTaker) {
    this.#taker = taker;
  }

  get hasPreface(): boolean {
    return this.#prefaceAt === preface.length;
  }

  /** The number of the frame of which only a part is here; null when there is none, or its bytes are passed on. */
  get heldFrame(): number | null {
    return this.#held === null ? null : this.#frames;
  }

  /** Takes nothing any more. */
  stop(): void {
    this.#isStopped = true;
    this.#held = null;
  }

  /** @throws ConnectionFailure for a wrong preface or a frame that is too long, and what the taker throws. */
  push(chunk: Uint8Array): void {
    let bytes = chunk;
    if (!this.hasPreface) bytes = this.#takePreface(chunk);
    if (this.#held !== null && bytes.length > 0) {
      bytes = Buffer.concat([this.#held, bytes]);
      this.#held = null;
    }
    let at = 0;
    while (at < bytes.length && !this.#isStopped) {
      const next = this.#isInData ? this.#data(bytes, at) : this.#frame(bytes, at);
      if (next < 0) {
        this.#held = new Uint8Array(bytes.subarray(at));
        return;
      }
      at = next;
    }
  }

  #takePreface(chunk: Uint8Array): Uint8Array {
    const count = Math.min(preface.length - this.#prefaceAt, chunk.length);
    for (let i = 0; i < count; i++) {
      if (chunk[i] !== preface[this.#prefaceAt + i]) {
        const message = "The client does not begin with the preface of HTTP/2";
        throw new ConnectionFailure(errorCodes.protocolError, message);
      }
    }
    this.#prefaceAt += count;
    return chunk.subarray(count);
  }

  /** Where the next frame begins; -1 when this one is not whole yet. */
  #frame(bytes: Uint8Array, at: number): number {
    if (bytes.length - at < frameHeaderBytes) return -1;
    const lengthBytes = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    const type = bytes[at + 3]!;
    const flags = bytes[at + 4]!;
    const streamId =
      ((bytes[at + 5]! & 0x7f) << 24) |
      (bytes[at + 6]! << 16) |
      (bytes[at + 7]! << 8) |
      bytes[at + 8]!;
    if (lengthBytes > frameBytesMax) {
      const message = `A frame of ${lengthBytes} bytes exceeds the limit of ${frameBytesMax}`;
      throw new ConnectionFailure(errorCodes.frameSizeError, message);
    }
    const header = { lengthBytes, type, flags, streamId };
    const bodyAt = at + frameHeaderBytes;
    if (type === frameTypes.data) {
      this.#frames += 1;
      this.#beginData(header);
      return bodyAt;
    }
    if (bytes.length - bodyAt < lengthBytes) return -1;
    this.#frames += 1;
    this.#taker.frame(header, bytes.subarray(bodyAt, bodyAt + lengthBytes));
    return bodyAt + lengthBytes;
  }

  #beginData(header: FrameHeader): void {
    const isPadded = (header.flags & 0x8) !== 0;
    if (isPadded && header.lengthBytes === 0) throw badPadding();
    this.#taker.dataBegins(header);
    this.#dataLeft = header.lengthBytes;
    this.#padLeft = 0;
    this.#awaitsPadLength = isPadded;
    this.#isInData = true;
    if (this.#dataLeft === 0) this.#endData();
  }

  #data(bytes: Uint8Array, start: number): number {
    let at = start;
    if (this.#awaitsPadLength) {
      this.#awaitsPadLength = false;
      this.#padLeft = bytes[at]!;
      this.#dataLeft -= 1;
      at += 1;
      if (this.#padLeft > this.#dataLeft) throw badPadding();
    }
    const bodyBytes = Math.min(this.#dataLeft - this.#padLeft, bytes.length - at);
    if (bodyBytes > 0) {
      this.#taker.dataBytes(bytes.subarray(at, at + bodyBytes));
      this.#dataLeft -= bodyBytes;
      at += bodyBytes;
    }
    if (this.#dataLeft === this.#padLeft) {
      const padBytes = Math.min(this.#padLeft, bytes.length - at);
      this.#padLeft -= padBytes;
      this.#dataLeft -= padBytes;
      at += padBytes;
    }
    if (this.#dataLeft === 0) this.#endData();
    return at;
  }

  #endData(): void {
    this.#isInData = false;
    this.#taker.dataEnds();
  }
}

function badPadding(): ConnectionFailure {
  return new ConnectionFailure(
    errorCodes.protocolError,
    "The padding of a frame is longer than the frame",
  );
}
