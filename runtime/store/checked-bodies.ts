import { idPrefix } from "./identity.ts";
import type { Manifest } from "./store.ts";

/** Entries of a set: a look-up compares at most this many keys. */
const ways = 8;
const setBits = 12;
/** Bodies that are remembered; the ones beyond it are checked again at their next send. */
export const checkedBodiesMax = ways * 2 ** setBits;

/** Where the numbers of an entry are: a key is above 0, so that 0 is no entry. */
const fields = { key: 0, atMs: 1, idPrefix: 2, digest: 3, sizeBytes: 4, metadataBytes: 5 } as const;
const numbersPerEntry = 6;

/**
 * What bodies were checked as, and when, by a number that says where each lies. A row that was damaged in the index may
 * name a place that was checked for another artifact, or more of it, so all that tells them apart is compared.
 *
 * One array of its whole size from the start, 1.5 MiB, of which the system gives what is written to: as objects they
 * were 5 MiB and 65,000 more for the collector to look at, which let resident memory creep up for as long as half an
 * hour (2026-11-23). In a full set the body that was checked longest ago gives way: it is due again first.
 */
export class CheckedBodies {
  readonly #numbers = new Float64Array(checkedBodiesMax * numbersPerEntry);

  /** When the body of this row was checked where it lies; null when it was not. */
  checkedMs(key: number, row: Manifest): number | null {
    const numbers = this.#numbers;
    const at = this.#locate(key);
    if (at < 0) return null;
    const isSame =
      numbers[at + fields.digest] === row.digest &&
      numbers[at + fields.sizeBytes] === row.sizeBytes &&
      numbers[at + fields.metadataBytes] === row.metadataBytes &&
      numbers[at + fields.idPrefix] === idPrefix(row.id);
    return isSame ? numbers[at + fields.atMs]! : null;
  }

  put(key: number, row: Manifest, atMs: number): void {
    const numbers = this.#numbers;
    const found = this.#locate(key);
    const at = found < 0 ? this.#claim(key) : found;
    numbers[at + fields.key] = key;
    numbers[at + fields.atMs] = atMs;
    numbers[at + fields.idPrefix] = idPrefix(row.id);
    numbers[at + fields.digest] = row.digest;
    numbers[at + fields.sizeBytes] = row.sizeBytes;
    numbers[at + fields.metadataBytes] = row.metadataBytes;
  }

  drop(key: number): void {
    const at = this.#locate(key);
    if (at >= 0) this.#numbers[at + fields.key] = 0;
  }

  /** Where the entry of a key begins, or -1. */
  #locate(key: number): number {
    const first = firstOf(key);
    for (let at = first; at < first + ways * numbersPerEntry; at += numbersPerEntry) {
      if (this.#numbers[at] === key) return at;
    }
    return -1;
  }

  /** An entry of the key's set that may be written over. */
  #claim(key: number): number {
    const numbers = this.#numbers;
    const first = firstOf(key);
    let oldest = first;
    for (let at = first; at < first + ways * numbersPerEntry; at += numbersPerEntry) {
      if (numbers[at] === 0) return at;
      if (numbers[at + fields.atMs]! < numbers[oldest + fields.atMs]!) oldest = at;
    }
    return oldest;
  }
}

/** Where the set of a key begins. Places of one file differ in a few bits, so all are mixed (finalizer of MurmurHash3). */
function firstOf(key: number): number {
  let mixed = (key % 4_294_967_296) ^ Math.imul(Math.floor(key / 4_294_967_296), 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  const set = (mixed ^ (mixed >>> 16)) >>> (32 - setBits);
  return set * ways * numbersPerEntry;
}
