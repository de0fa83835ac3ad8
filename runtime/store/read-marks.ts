import { assert } from "../base/assert.ts";
import { KiB, MiB } from "../base/units.ts";

/** Two bits of memory for each KiB of capacity, within these bounds: 2 MiB tell 2 million ids apart, with 2 % doubt. */
const generationBytes = { min: 16 * KiB, max: 2 * MiB };
const capacityPerByte = 4 * KiB;
/** Of an id; four words of a SHA-256 are as good as four hash functions. */
const bitsPerId = 4;
/** A generation that has seen more ids than this part of its bits says "read" too often. */
const idsPerBitMax = 1 / 8;

/**
 * Which artifacts were read lately, for the choice of what may go: two generations of a Bloom filter. A doubt keeps
 * something cold, and a lost mark loses a hit: neither is wrong.
 */
export class ReadMarks {
  #young: Uint32Array;
  #old: Uint32Array;
  #youngCount = 0;
  readonly #mask: number;
  /** Raised with every new mark. */
  revision = 0;

  constructor(capacityBytes: number) {
    const wanted = capacityBytes / capacityPerByte;
    const clamped = Math.min(generationBytes.max, Math.max(generationBytes.min, wanted));
    const bytes = 2 ** Math.floor(Math.log2(clamped));
    this.#young = new Uint32Array(bytes / 4);
    this.#old = new Uint32Array(bytes / 4);
    this.#mask = bytes * 8 - 1;
  }

  mark(id: Uint8Array): void {
    if (isMarked(this.#young, id, this.#mask)) return;
    for (let i = 0; i < bitsPerId; i++) {
      const bit = bitOf(id, i) & this.#mask;
      this.#young[bit >>> 5]! |= 1 << (bit & 31);
    }
    this.#youngCount += 1;
    this.revision += 1;
    if (this.#youngCount > this.#mask * idsPerBitMax) this.turn();
  }

  /** In how many generations an artifact was read: 0, 1 or 2. */
  levelOf(id: Uint8Array): number {
    const isYoung = isMarked(this.#young, id, this.#mask);
    return Number(isYoung) + Number(isMarked(this.#old, id, this.#mask));
  }

  /** Forgets the older generation: when half of the capacity was written anew, marks from before say little. */
  turn(): void {
    const forgotten = this.#old;
    this.#old = this.#young;
    this.#young = forgotten.fill(0);
    this.#youngCount = 0;
    this.revision += 1;
  }

  /** Both generations as they are now, one behind the other. */
  save(): Uint8Array<ArrayBuffer> {
    const saved = new Uint8Array(this.#young.byteLength * 2);
    saved.set(new Uint8Array(this.#young.buffer));
    saved.set(new Uint8Array(this.#old.buffer), this.#young.byteLength);
    return saved;
  }

  /** Adds what was saved; false when it was saved for another capacity, and nothing is taken. */
  load(saved: Uint8Array): boolean {
    const half = this.#young.byteLength;
    if (saved.length !== half * 2) return false;
    merge(this.#young, saved.subarray(0, half));
    merge(this.#old, saved.subarray(half));
    return true;
  }
}

function merge(words: Uint32Array, saved: Uint8Array): void {
  assert(saved.length === words.byteLength, "a saved generation has the size of the one it joins");
  const view = new DataView(saved.buffer, saved.byteOffset, saved.byteLength);
  for (let i = 0; i < words.length; i++) words[i]! |= view.getUint32(4 * i, true);
}

function isMarked(words: Uint32Array, id: Uint8Array, mask: number): boolean {
  for (let i = 0; i < bitsPerId; i++) {
    const bit = bitOf(id, i) & mask;
    if ((words[bit >>> 5]! & (1 << (bit & 31))) === 0) return false;
  }
  return true;
}

/** Other bytes of the id than the filter of ids and the cache of manifests look at. */
function bitOf(id: Uint8Array, place: number): number {
  const at = 16 + 4 * place;
  return ((id[at]! << 24) | (id[at + 1]! << 16) | (id[at + 2]! << 8) | id[at + 3]!) >>> 0;
}
