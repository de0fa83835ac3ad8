import type { LoopSteps } from "../base/loop-steps.ts";
import { KiB, MiB } from "../base/units.ts";
import type { Maintenance } from "./maintenance.ts";

/**
 * False "perhaps": 2 % at a million ids with the 1 MiB that go with the usual cache of manifests, 1 % at 3.5 million
 * with 4 MiB; beyond that the filter helps less and less.
 */
const filterBytesMax = 4 * MiB;
const filterBytesMin = 16 * KiB;
/**
 * An index has at most as many rows as its highest seq. Reading one costs about a tenth of a look-up in vain (0.25 s
 * for 310,000 rows, and 8 us), so what is lost before the filter is there comes to about the price of filling it.
 */
const rowsPerVainLookUp = 16;
const vainLookUpsMax = 100_000;
/** An index that is asked in vain less often is not worth a Worker's time. */
export const usualVainLookUpsMin = 1_000;

/** Bits of one id; its words are a SHA-256, so they are as good as four hash functions. */
const bitsPerId = 4;

/**
 * Tells ids that the index surely does not have, without asking it: a new key costs no statement (8 us of a put,
 * measured). A Bloom filter over all ids of the index; until it has seen them all it knows nothing.
 */
export class IdFilter {
  readonly #words: Uint32Array;
  /** Of bit numbers: the count of bits is a power of two. */
  readonly #mask: number;
  readonly #manifestCacheBytesMax: number;
  #isComplete = false;
  /** Takes this one's place when it has seen all ids: it is told of every new one meanwhile. */
  #next: IdFilter | null = null;
  #addedCount = 0;
  #vainLeft = 0;
  #onWanted: (() => void) | null = null;

  /** Takes an eighth of the memory that the cache of manifests may take, rounded down to a power of two. */
  constructor(manifestCacheBytesMax: number) {
    const wanted = Math.min(filterBytesMax, Math.max(filterBytesMin, manifestCacheBytesMax / 8));
    const bytes = 2 ** Math.floor(Math.log2(wanted));
    this.#words = new Uint32Array(bytes / 4);
    this.#mask = bytes * 8 - 1;
    this.#manifestCacheBytesMax = manifestCacheBytesMax;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Ids that it was told of, those that were told twice too. */
  get addedCount(): number {
    return this.#addedCount;
  }

  /** An empty one of the same size, to be filled and then used in place of this one. */
  startNext(): IdFilter {
    this.#next = new IdFilter(this.#manifestCacheBytesMax);
    return this.#next;
  }

  endNext(): void {
    this.#next = null;
  }

  /** False only when the index has no row with this id. */
  mayHold(id: Uint8Array): boolean {
    if (!this.#isComplete) return true;
    for (let i = 0; i < bitsPerId; i++) {
      const bit = bitOf(id, i) & this.#mask;
      if ((this.#words[bit >>> 5]! & (1 << (bit & 31))) === 0) return false;
    }
    return true;
  }

  /** Every committed id is added before anybody can see its row. */
  add(id: Uint8Array): void {
    this.#addedCount += 1;
    this.#next?.add(id);
    for (let i = 0; i < bitsPerId; i++) {
      const bit = bitOf(id, i) & this.#mask;
      this.#words[bit >>> 5]! |= 1 << (bit & 31);
    }
  }

  /**
   * Calls `fill` once, when look-ups in vain have cost about as much as reading the index of a store up to seq `head`:
   * a node that only answers hits after its start never reads it.
   */
  whenWanted(
    { head, vainLookUpsMin }: { head: number; vainLookUpsMin: number },
    fill: () => void,
  ): void {
    const count = Math.min(vainLookUpsMax, Math.ceil(head / rowsPerVainLookUp));
    this.#vainLeft = Math.max(vainLookUpsMin, count);
    this.#onWanted = fill;
  }

  /** The index was asked for an id that it does not have. */
  noteVainLookUp(): void {
    if (this.#onWanted === null || --this.#vainLeft > 0) return;
    const fill = this.#onWanted;
    this.#onWanted = null;
    fill();
  }

  /** Says that every id that was in the index before the first `add` has been added. */
  complete(): void {
    this.#isComplete = true;
  }
}

function bitOf(id: Uint8Array, place: number): number {
  const at = 8 + 4 * place;
  return ((id[at]! << 17) | (id[at + 1]! << 9) | (id[at + 2]! << 1) | (id[at + 3]! & 1)) >>> 0;
}

/** Ids of one page: 320 KB in one message, 1 ms on the loop. */
const pageIds = 10_000;
const idBytes = 32;

/** Fills a filter with the ids of an index that was not empty, page by page; stops when `isWanted` says so. */
export async function fillFilter(
  filter: IdFilter,
  maintenance: Maintenance,
  { isWanted, steps }: { isWanted: () => boolean; steps?: LoopSteps },
): Promise<void> {
  let after = new Uint8Array(0);
  while (isWanted()) {
    const packed = await maintenance.nextIds(after, pageIds);
    const addAll = (): void => {
      for (let at = 0; at < packed.length; at += idBytes) {
        filter.add(packed.subarray(at, at + idBytes));
      }
    };
    if (steps === undefined) addAll();
    else steps.run("filter", addAll);
    if (packed.length === 0) {
      if (isWanted()) filter.complete();
      return;
    }
    after = packed.slice(packed.length - idBytes);
  }
}
