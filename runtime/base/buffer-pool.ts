import { KiB } from "./units.ts";

const capacityBytesMin = 4 * KiB;

/**
 * Buffers for bytes that come and go. A fresh one costs its page faults, and the collector lets them gather: 16 of 100
 * parts of a write were that (measured on 2026-11-22).
 */
export class BufferPool {
  readonly #givenBytes: number;
  #idleBytesMax: number;
  /** By capacity. */
  readonly #idle = new Map<number, Buffer<ArrayBuffer>[]>();
  /** Those that are lent: a view of anything else must not come back as one of ours. */
  readonly #lent = new WeakSet<ArrayBuffer>();
  #idleBytes = 0;

  /** `idleBytesMax`: what is kept for the next one who asks. */
  constructor(idleBytesMax: number) {
    this.#givenBytes = idleBytesMax;
    this.#idleBytesMax = idleBytesMax;
  }

  /** Keeps this share, 0 to 1, of what it was given; the rest is freed at once, and all at 0. */
  keep(share: number): void {
    this.#idleBytesMax = this.#givenBytes * share;
    for (const buffers of this.#idle.values()) {
      while (this.#idleBytes > this.#idleBytesMax) {
        const buffer = buffers.pop();
        if (buffer === undefined) break;
        this.#idleBytes -= buffer.length;
        buffer.buffer.transfer(0);
      }
    }
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A buffer of at least so many bytes, with anything in it. It may be kept for good. */
  take(bytes: number): Buffer<ArrayBuffer> {
    const capacity = capacityFor(bytes);
    const found = this.#idle.get(capacity)?.pop();
    if (found !== undefined) this.#idleBytes -= capacity;
    const buffer = found ?? Buffer.allocUnsafeSlow(capacity);
    this.#lent.add(buffer.buffer);
    return buffer;
  }

  /** Gives back the buffer of these bytes, if it is one of ours. Nobody reads or writes it any more. */
  give({ buffer }: Uint8Array): void {
    if (!(buffer instanceof ArrayBuffer) || !this.#lent.delete(buffer)) return;
    const capacity = buffer.byteLength;
    if (this.#idleBytes + capacity > this.#idleBytesMax) {
      // The collector would let them gather.
      buffer.transfer(0);
      return;
    }
    this.#idleBytes += capacity;
    const same = this.#idle.get(capacity);
    if (same === undefined) this.#idle.set(capacity, [Buffer.from(buffer)]);
    else same.push(Buffer.from(buffer));
  }
}

/** Four sizes between two powers of two, so that a fifth is wasted at most. */
function capacityFor(bytes: number): number {
  if (bytes <= capacityBytesMin) return capacityBytesMin;
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2);
  return Math.ceil(bytes / step) * step;
}
