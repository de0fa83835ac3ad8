import {
  frameBytesMax,
  frameFlags,
  frameHeaderBytes,
  frameTypes,
} from "../../../runtime/wire/http2/frames.ts";

/** What takes the frames of a server. */
export interface FrameSink {
  /** Part of a DATA frame: `bytes` from `from` to `to`, gone after the call. */
  data(streamId: number, bytes: Buffer, from: number, to: number): void;
  /** A DATA frame has come whole. */
  dataEnd(streamId: number, isStreamEnd: boolean): void;
  /** A whole frame of any other type; the payload is gone after the call. */
  frame(type: number, flags: number, streamId: number, payload: Buffer): void;
}

/**
 * Cuts what a server sends into frames. DATA is passed on as it comes, without a copy or a view: a client that loads a
 * server must be cheaper than it.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #head = Buffer.alloc(frameHeaderBytes);
  #headAt = 0;
  /** Of the frame whose header is known: bytes to come. */
  #leftBytes = 0;
  #payload = Buffer.alloc(0);
  #payloadAt = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** @throws Error for frames that no server may send us. */
  take(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#headAt < frameHeaderBytes) {
        at += this.#takeHead(bytes, at);
        continue;
      }
      at +=
        this.#type === frameTypes.data ? this.#takeData(bytes, at) : this.#takePayload(bytes, at);
    }
  }

  get #type(): number {
    return this.#head[3]!;
  }

  get #flags(): number {
    return this.#head[4]!;
  }

  get #streamId(): number {
    return this.#head.readUInt32BE(5) & 0x7fff_ffff;
  }

  #takeHead(bytes: Buffer, at: number): number {
    const count = Math.min(frameHeaderBytes - this.#headAt, bytes.length - at);
    for (let i = 0; i < count; i++) this.#head[this.#headAt + i] = bytes[at + i]!;
    this.#headAt += count;
    if (this.#headAt < frameHeaderBytes) return count;
    this.#leftBytes = this.#head.readUIntBE(0, 3);
    if (this.#leftBytes > frameBytesMax) {
      throw new Error(`A frame of ${this.#leftBytes} bytes exceeds the limit of ${frameBytesMax}`);
    }
    if (this.#type !== frameTypes.data) {
      this.#payload = Buffer.alloc(0);
      this.#payloadAt = 0;
      if (this.#leftBytes === 0) this.#endFrame(this.#payload);
      return count;
    }
    if ((this.#flags & frameFlags.padded) !== 0) throw new Error("No server pads what it sends");
    if (this.#leftBytes === 0) this.#endData();
    return count;
  }

  #takeData(bytes: Buffer, at: number): number {
    const count = Math.min(this.#leftBytes, bytes.length - at);
    this.#sink.data(this.#streamId, bytes, at, at + count);
    this.#leftBytes -= count;
    if (this.#leftBytes === 0) this.#endData();
    return count;
  }

  /** A frame that lies in one chunk is not copied. */
  #takePayload(bytes: Buffer, at: number): number {
    const count = Math.min(this.#leftBytes, bytes.length - at);
    const isWhole = count === this.#leftBytes;
    if (this.#payloadAt === 0 && isWhole) {
      this.#endFrame(bytes.subarray(at, at + count));
      return count;
    }
    if (this.#payloadAt === 0) this.#payload = Buffer.allocUnsafe(this.#leftBytes);
    bytes.copy(this.#payload, this.#payloadAt, at, at + count);
    this.#payloadAt += count;
    this.#leftBytes -= count;
    if (isWhole) this.#endFrame(this.#payload);
    return count;
  }

  #endData(): void {
    const isStreamEnd = (this.#flags & frameFlags.endStream) !== 0;
    this.#headAt = 0;
    this.#sink.dataEnd(this.#streamId, isStreamEnd);
  }

  #endFrame(payload: Buffer): void {
    this.#headAt = 0;
    this.#sink.frame(this.#type, this.#flags, this.#streamId, payload);
  }
}
