import { sha256 } from "../../../runtime/base/digest.ts";
import type { Contents } from "../contents.ts";

/** The last bytes of a blob tell it from all others: half of them the key space, half of them its number. */
export const tailBytes = 16;
const spaceBytes = 8;

/** What tells the blobs of one purpose, and of one run, from all others. */
export type KeySpace = { readonly name: string; readonly seed: number };

/**
 * Blobs of one size. All begin alike and differ in their tails, so that the digest of one of 64 MiB takes a
 * microsecond: the state of the hash before the tail is kept.
 */
export class Blobs {
  readonly sizeBytes: number;
  readonly #contents: Contents;
  readonly #space: Uint8Array;
  readonly #hasher = new Bun.CryptoHasher("sha256");
  readonly #tail = Buffer.alloc(tailBytes);

  constructor(contents: Contents, sizeBytes: number, { name, seed }: KeySpace) {
    this.sizeBytes = sizeBytes;
    this.#contents = contents;
    this.#space = sha256(`${name}/${seed}/${sizeBytes}`).subarray(0, spaceBytes);
    for (let at = 0; at < this.#prefixBytes; ) {
      const piece = contents.window(0, at, this.#prefixBytes - at);
      this.#hasher.update(piece);
      at += piece.length;
    }
  }

  /** Lower-case hex. */
  hashOf(index: number): string {
    return this.#hasher.copy().update(this.#tailOf(index)).digest("hex");
  }

  /** Copies bytes of blob `index` from `fromBytes` on to `into`; there must be so many, and room for them. */
  copy(
    blob: { readonly index: number; readonly fromBytes: number },
    into: Buffer,
    at: number,
    lengthBytes: number,
  ): void {
    let place = at;
    let fromBytes = blob.fromBytes;
    const endBytes = fromBytes + lengthBytes;
    const prefixEnd = Math.min(endBytes, this.#prefixBytes);
    while (fromBytes < prefixEnd) {
      const count = this.#contents.copy(fromBytes, into, place, prefixEnd - fromBytes);
      fromBytes += count;
      place += count;
    }
    if (fromBytes >= endBytes) return;
    const from = fromBytes - this.#prefixBytes;
    this.#tailOf(blob.index).copy(into, place, from, endBytes - this.#prefixBytes);
  }

  /** Whether `bytes` from `from` to `to` are those of blob `index` at `atBytes`. */
  matches(
    blob: { readonly index: number; readonly atBytes: number },
    bytes: Buffer,
    from: number,
    to: number,
  ): boolean {
    const { index, atBytes } = blob;
    if (atBytes + to - from > this.sizeBytes) return false;
    const prefixTo = Math.min(to, Math.max(from, from + this.#prefixBytes - atBytes));
    if (!this.#contents.matches({ index: 0, atBytes }, bytes, from, prefixTo)) return false;
    if (prefixTo === to) return true;
    const tailFrom = atBytes + (prefixTo - from) - this.#prefixBytes;
    const tail = this.#tailOf(index);
    return tail.compare(bytes, prefixTo, to, tailFrom, tailFrom + to - prefixTo) === 0;
  }

  get #prefixBytes(): number {
    return this.sizeBytes - tailBytes;
  }

  /** Valid until the next call. */
  #tailOf(index: number): Buffer {
    this.#tail.set(this.#space);
    this.#tail.writeUIntBE(index, spaceBytes + 2, 6);
    return this.#tail;
  }
}
