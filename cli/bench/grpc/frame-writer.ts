import type { Socket } from "bun";
import { KiB } from "../../../runtime/base/units.ts";
import { frameBytesMax, frameHeaderBytes } from "../../../runtime/wire/http2/frames.ts";
import type { RequestSource } from "./call.ts";

/** Grown by control frames alone, which are as many as there are calls. */
const firstBytes = 512 * KiB;

/** Gathers frames and hands them to a socket with as few writes as it takes. */
export class FrameWriter {
  #buffer = Buffer.allocUnsafeSlow(firstBytes);
  #fromBytes = 0;
  #toBytes = 0;

  get isEmpty(): boolean {
    return this.#fromBytes === this.#toBytes;
  }

  /** Another full DATA frame fits. */
  get hasDataRoom(): boolean {
    return this.#toBytes + frameHeaderBytes + frameBytesMax <= firstBytes;
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#toBytes);
    this.#toBytes += value.length;
  }

  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.#reserve(frameHeaderBytes + payload.length);
    this.#head(this.#toBytes, { lengthBytes: payload.length, type, flags, streamId });
    this.#toBytes += frameHeaderBytes;
    this.bytes(payload);
  }

  uint32Frame(type: number, streamId: number, value: number): void {
    this.#reserve(frameHeaderBytes + 4);
    this.#head(this.#toBytes, { lengthBytes: 4, type, flags: 0, streamId });
    this.#buffer.writeUInt32BE(value, this.#toBytes + frameHeaderBytes);
    this.#toBytes += frameHeaderBytes + 4;
  }

  /** A DATA frame of at most so many bytes of the source, the last one with the end of the stream; returns how many. */
  dataFrame(streamId: number, source: RequestSource, bytesMax: number): number {
    const at = this.#toBytes;
    const lengthBytes = source.fill(this.#buffer, at + frameHeaderBytes, bytesMax);
    this.#head(at, { lengthBytes, type: 0, flags: source.isDone ? 1 : 0, streamId });
    this.#toBytes = at + frameHeaderBytes + lengthBytes;
    return lengthBytes;
  }

  /** True when the socket took everything. */
  flush(socket: Pick<Socket, "write">): boolean {
    const lengthBytes = this.#toBytes - this.#fromBytes;
    if (lengthBytes === 0) return true;
    const count = socket.write(this.#buffer, this.#fromBytes, lengthBytes);
    this.#fromBytes += Math.max(0, count);
    if (!this.isEmpty) return false;
    this.#fromBytes = 0;
    this.#toBytes = 0;
    return true;
  }

  #head(
    at: number,
    frame: { lengthBytes: number; type: number; flags: number; streamId: number },
  ): void {
    const buffer = this.#buffer;
    buffer[at] = frame.lengthBytes >>> 16;
    buffer[at + 1] = frame.lengthBytes >>> 8;
    buffer[at + 2] = frame.lengthBytes;
    buffer[at + 3] = frame.type;
    buffer[at + 4] = frame.flags;
    buffer.writeUInt32BE(frame.streamId, at + 5);
  }

  #reserve(count: number): void {
    if (this.#toBytes + count <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(this.#buffer.length * 2 + count);
    this.#buffer.copy(larger, 0, this.#fromBytes, this.#toBytes);
    this.#toBytes -= this.#fromBytes;
    this.#fromBytes = 0;
    this.#buffer = larger;
  }
}
