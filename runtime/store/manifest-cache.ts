import { assert } from "../base/assert.ts";
import { cacheShares, type MemoryTier } from "../observe/memory-tier.ts";
import type { Manifest } from "./store.ts";

/** Ways of a set: a look-up compares at most this many ids. */
const ways = 8;
const idWords = 8;
const numbersPerEntry = 7;
/** A cache begins with this many sets, 780 KB, and doubles with use. */
const firstSetsMax = 1_024;
/** 67 million entries: no array of theirs reaches the 4 GiB at which Bun's end. */
const largestSets = 2 ** 23;

/** Memory of one entry: id, seven 64-bit numbers, metadata length, kind, flags, use mark. */
export const manifestCacheEntryBytes = idWords * 4 + numbersPerEntry * 8 + 4 + 3;

/**
 * Manifests of live artifacts, in typed arrays: no garbage and no object for each. An id belongs to one set of eight
 * entries; within a full set the first entry without a use mark since the last round gives way. Whole 32-byte ids are
 * compared. The arrays double whenever half of their entries are filled, until they have the size they were given:
 * the collector takes their size for a measure of how much garbage may gather, so a node with few artifacts stays
 * small. Doubling costs about 50 ns an entry.
 */
export class ManifestCache {
  readonly #givenSets: number;
  #setsMax: number;
  #takesNew = true;
  #setMask = 0;
  #ids = new Uint32Array(0);
  #numbers = new Float64Array(0);
  #metadataBytes = new Uint32Array(0);
  #kinds = new Uint8Array(0);
  #flags = new Uint8Array(0);
  /** 0 empty, 1 filled, 2 used since the last round. */
  #marks = new Uint8Array(0);
  #hands = new Uint8Array(0);
  #count = 0;

  /** `maxBytes` is rounded down to a power of two of sets; at least one set. */
  constructor(maxBytes: number) {
    const setsMax = Math.max(1, Math.floor(maxBytes / (manifestCacheEntryBytes * ways)));
    this.#givenSets = Math.min(largestSets, 2 ** Math.floor(Math.log2(setsMax)));
    this.#setsMax = this.#givenSets;
    this.#allocate(Math.min(firstSetsMax, this.#setsMax));
  }

  get count(): number {
    return this.#count;
  }

  /** Entries that it has room for when it has grown. */
  get capacity(): number {
    return this.#setsMax * ways;
  }

  /** Gives up what the tier does not leave it, at once. Short of memory it takes no entry that it does not have. */
  adaptTo(tier: MemoryTier): void {
    this.#takesNew = tier === "normal";
    this.#setsMax = Math.max(1, Math.floor(this.#givenSets * cacheShares[tier]));
    if (cacheShares[tier] === 0) this.clear();
    if (this.#setMask + 1 > this.#setsMax) this.#resize(this.#setsMax);
  }

  get(id: Uint8Array): Manifest | null {
    const words = wordsOf(id);
    const entry = this.#locate(words);
    if (entry < 0) return null;
    this.#marks[entry] = 2;
    const at = entry * numbersPerEntry;
    const numbers = this.#numbers;
    return {
      id,
      file: numbers[at]!,
      offsetBytes: numbers[at + 1]!,
      sizeBytes: numbers[at + 2]!,
      seq: numbers[at + 3]!,
      version: numbers[at + 4]!,
      origin: numbers[at + 5]!,
      digest: numbers[at + 6]!,
      metadataBytes: this.#metadataBytes[entry]!,
      kind: this.#kinds[entry]!,
      flags: this.#flags[entry]!,
    };
  }

  /** Puts what the cache holds already; anything else is left out. */
  replace(manifest: Manifest): void {
    if (this.#locate(wordsOf(manifest.id)) >= 0) this.put(manifest);
  }

  put(manifest: Manifest): void {
    const words = wordsOf(manifest.id);
    let entry = this.#locate(words);
    if (entry < 0) {
      if (!this.#takesNew) return;
      const isHalfFull = this.#count * 2 >= this.#marks.length;
      if (isHalfFull && this.#setMask + 1 < this.#setsMax) this.#resize(2 * (this.#setMask + 1));
      entry = this.#claim(words[0]! & this.#setMask);
    }
    this.#ids.set(words, entry * idWords);
    const at = entry * numbersPerEntry;
    this.#numbers[at] = manifest.file;
    this.#numbers[at + 1] = manifest.offsetBytes;
    this.#numbers[at + 2] = manifest.sizeBytes;
    this.#numbers[at + 3] = manifest.seq;
    this.#numbers[at + 4] = manifest.version;
    this.#numbers[at + 5] = manifest.origin;
    this.#numbers[at + 6] = manifest.digest;
    this.#metadataBytes[entry] = manifest.metadataBytes;
    this.#kinds[entry] = manifest.kind;
    this.#flags[entry] = manifest.flags;
    this.#marks[entry] = 1;
  }

  drop(id: Uint8Array): void {
    const entry = this.#locate(wordsOf(id));
    if (entry < 0) return;
    this.#marks[entry] = 0;
    this.#count -= 1;
  }

  clear(): void {
    this.#marks.fill(0);
    this.#count = 0;
  }

  /** @throws RangeError without memory; nothing is changed then. */
  #allocate(sets: number): void {
    const entries = sets * ways;
    const ids = new Uint32Array(entries * idWords);
    const numbers = new Float64Array(entries * numbersPerEntry);
    const metadataBytes = new Uint32Array(entries);
    const [kinds, flags] = [new Uint8Array(entries), new Uint8Array(entries)];
    const [marks, hands] = [new Uint8Array(entries), new Uint8Array(sets)];
    this.#setMask = sets - 1;
    this.#ids = ids;
    this.#numbers = numbers;
    this.#metadataBytes = metadataBytes;
    this.#kinds = kinds;
    this.#flags = flags;
    this.#marks = marks;
    this.#hands = hands;
  }

  /** Another count of sets, with the entries that fit: when it falls, those of two sets share one. */
  #resize(sets: number): void {
    const ids = this.#ids;
    const numbers = this.#numbers;
    const metadataBytes = this.#metadataBytes;
    const kinds = this.#kinds;
    const flags = this.#flags;
    const marks = this.#marks;
    try {
      this.#allocate(sets);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      // A cache that cannot grow goes on as it is.
      this.#setsMax = this.#setMask + 1;
      return;
    }
    this.#count = 0;
    for (let from = 0; from < marks.length; from++) {
      if (marks[from] === 0) continue;
      const to = this.#emptyEntry(ids[from * idWords]! & this.#setMask, from % ways);
      if (to < 0) continue;
      this.#count += 1;
      for (let i = 0; i < idWords; i++) this.#ids[to * idWords + i] = ids[from * idWords + i]!;
      for (let i = 0; i < numbersPerEntry; i++) {
        this.#numbers[to * numbersPerEntry + i] = numbers[from * numbersPerEntry + i]!;
      }
      this.#metadataBytes[to] = metadataBytes[from]!;
      this.#kinds[to] = kinds[from]!;
      this.#flags[to] = flags[from]!;
      this.#marks[to] = marks[from]!;
    }
    // The collector would get to them later.
    ids.buffer.transfer(0);
    numbers.buffer.transfer(0);
  }

  /** An empty entry of a set, looked for from one of its ways on; -1 when it is full. */
  #emptyEntry(set: number, firstWay: number): number {
    for (let step = 0; step < ways; step++) {
      const entry = set * ways + ((firstWay + step) % ways);
      if (this.#marks[entry] === 0) return entry;
    }
    return -1;
  }

  /** Entry of an id, or -1. */
  #locate(words: Uint32Array): number {
    const first = (words[0]! & this.#setMask) * ways;
    for (let entry = first; entry < first + ways; entry++) {
      if (this.#marks[entry] !== 0 && this.#sameId(words, entry * idWords)) return entry;
    }
    return -1;
  }

  #sameId(words: Uint32Array, at: number): boolean {
    for (let i = 0; i < idWords; i++) if (this.#ids[at + i] !== words[i]) return false;
    return true;
  }

  /** An entry of the set that may be overwritten: an empty one, else by second chance. */
  #claim(set: number): number {
    const first = set * ways;
    for (let entry = first; entry < first + ways; entry++) {
      if (this.#marks[entry] === 0) {
        this.#count += 1;
        return entry;
      }
    }
    // Two rounds are enough: the first one takes away every use mark.
    for (let step = 0; step < 2 * ways; step++) {
      const hand = this.#hands[set]!;
      this.#hands[set] = (hand + 1) % ways;
      const entry = first + hand;
      if (this.#marks[entry] === 1) return entry;
      this.#marks[entry] = 1;
    }
    return first;
  }
}

const scratch = new Uint32Array(idWords);
const scratchBytes = new Uint8Array(scratch.buffer);

/** The id as words in one shared buffer: use them before the next call. Ids may lie unaligned in bigger buffers. */
export function wordsOf(id: Uint8Array): Uint32Array {
  assert(id.length === 32, "an artifact id has 32 bytes");
  scratchBytes.set(id);
  return scratch;
}
