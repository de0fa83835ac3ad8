import { IdTable, slotBytes, slotsFirst } from "./id-table.ts";

/** A set grows in so many parts, one at a time: no step of its growth is noticed. */
const partCount = 16;

/**
 * Numbers from 0 to 2^53-1 that are pieces of hashes, four bytes each and no object. Grows up to a bound, and then takes
 * no more. Says of one in a hundred thousand that it is there though it was never added.
 */
export class IdSet {
  readonly #parts: IdTable[];

  /**
   * `maxBytes` is rounded down to a power of two of slots in each part; at least one block of them. `isWhole`: as large
   * as it gets from the start, so that what a process holds does not rise for as long as it takes to fill it.
   */
  constructor(maxBytes: number, isWhole = false) {
    const wanted = Math.max(slotsFirst, maxBytes / slotBytes / partCount);
    const slots = 2 ** Math.floor(Math.log2(wanted));
    const make = (): IdTable => new IdTable(slots, isWhole ? slots : slotsFirst);
    this.#parts = Array.from({ length: partCount }, make);
  }

  get count(): number {
    let count = 0;
    for (const part of this.#parts) count += part.count;
    return count;
  }

  /** Whether some keys can be taken no more. */
  get isFull(): boolean {
    return this.#parts.some((part) => part.isFull);
  }

  has(key: number): boolean {
    return this.#partOf(key).has(shortOf(key));
  }

  /** False when it was there already, or when there is no room. */
  add(key: number): boolean {
    return this.#partOf(key).add(shortOf(key));
  }

  /** Bytes that `saveInto` writes. */
  get savedBytes(): number {
    return this.#parts.reduce((sum, part) => sum + part.savedBytes, 0);
  }

  /** Writes the tables as they are, each behind its length. */
  saveInto(into: Uint8Array, atBytes: number): void {
    let at = atBytes;
    for (const part of this.#parts) {
      part.saveInto(into, at);
      at += part.savedBytes;
    }
  }

  /** Takes what was saved in place of what there is: how many bytes it was; -1 when it cannot be a set of this size. */
  restore(saved: Uint8Array): number {
    let at = 0;
    for (const part of this.#parts) {
      const bytes = part.restore(saved.subarray(at));
      if (bytes < 0) return -1;
      at += bytes;
    }
    return at;
  }

  #partOf(key: number): IdTable {
    return this.#parts[Math.floor(key / 4_294_967_296) % partCount]!;
  }
}

/** The lower 32 bits of a key; 0 stands for a free slot. */
function shortOf(key: number): number {
  return (key % 4_294_967_296) >>> 0 || 1;
}
