import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { minute } from "../base/units.ts";
import { IdSet } from "./id-set.ts";
import { idPrefix } from "./identity.ts";
import type { Manifest } from "./store.ts";

/** What was vouched for stays at least so long; at most a third longer. @source design.md 2, trust.md P3. */
export const leaseMsMin = 15 * minute;
const generationMsMax = leaseMsMin / 3;

/** Of the capacity, at most this share is kept for leases alone: beyond it the oldest leases end early. */
const shareMax = 0.5;
/** A generation is no more than this part of that share, so that leases end in small steps, the oldest first. */
const generationShare = 1 / 4;
/** As many generations are as much as the capacity, and two for those that time ends. */
const generationsMax = 10;

type Generation = {
  readonly ids: IdSet;
  readonly startMs: number;
  /** Nothing was vouched for after that; null while it is the youngest. */
  endMs: number | null;
  /** Of the artifacts that are in this generation and in no younger one. */
  bytes: number;
  count: number;
};

/**
 * Artifacts that a client was told of, so that it will not send them again: they are kept while their lease lasts.
 * Generations of ids, the youngest first. When more is leased than may be kept, what a client heard of last stays.
 */
export class Leases {
  readonly #clock: Clock;
  readonly #bytesMax: number;
  readonly #leasedBytesMax: number;
  readonly #generations: Generation[];
  #shortened = 0;

  /** `bytesMax`: memory of the ids. */
  constructor(options: { clock: Clock; bytesMax: number; capacityBytes: number }) {
    this.#clock = options.clock;
    this.#bytesMax = options.bytesMax;
    this.#leasedBytesMax = options.capacityBytes * shareMax;
    this.#generations = [this.#newGeneration()];
  }

  /** Artifacts under lease now. */
  get count(): number {
    return this.#generations.reduce((sum, { count }) => sum + count, 0);
  }

  /** Their bytes, as large as they were when they were vouched for. */
  get leasedBytes(): number {
    return this.#generations.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Leases that ended before their time, since the start of the process. */
  get shortened(): number {
    return this.#shortened;
  }

  vouch({ id, sizeBytes }: Pick<Manifest, "id" | "sizeBytes">): void {
    const key = idPrefix(id);
    const young = this.#youngest();
    if (!young.ids.add(key)) return;
    count(young, 1, sizeBytes);
    for (const older of this.#generations) {
      if (older === young || !older.ids.has(key)) continue;
      count(older, -1, sizeBytes);
      return;
    }
  }

  /** Whether an artifact has to stay. */
  keeps(id: Uint8Array): boolean {
    this.#endOld();
    const key = idPrefix(id);
    let bytes = 0;
    for (const generation of this.#generations) {
      bytes += generation.bytes;
      if (bytes > this.#leasedBytesMax) return false;
      if (generation.ids.has(key)) return true;
    }
    return false;
  }

  /** Whether it has a lease, be it one that may end early. */
  holds(id: Uint8Array): boolean {
    this.#endOld();
    return this.#generationOf(id) !== null;
  }

  /** An artifact under lease is about to go. */
  shorten({ id, sizeBytes }: Pick<Manifest, "id" | "sizeBytes">): void {
    this.#shortened += 1;
    const generation = this.#generationOf(id);
    if (generation !== null) count(generation, -1, sizeBytes);
  }

  #generationOf(id: Uint8Array): Generation | null {
    const key = idPrefix(id);
    for (const generation of this.#generations) if (generation.ids.has(key)) return generation;
    return null;
  }

  /** The generation that takes leases now. */
  #youngest(): Generation {
    const [young] = this.#generations;
    assert(young !== undefined, "there is a generation");
    const isFull = young.ids.isFull || young.bytes > this.#leasedBytesMax * generationShare;
    const nowMs = this.#clock.monotonicMs();
    const dueMs = young.startMs + generationMsMax;
    if (!isFull && nowMs < dueMs) return young;
    young.endMs = Math.min(nowMs, dueMs);
    const next = this.#newGeneration();
    this.#generations.unshift(next);
    this.#endOld();
    if (this.#generations.length > generationsMax) {
      this.#shortened += this.#generations.pop()?.count ?? 0;
    }
    return next;
  }

  #endOld(): void {
    const nowMs = this.#clock.monotonicMs();
    for (;;) {
      const oldest = this.#generations.at(-1);
      if (oldest === undefined || nowMs < this.#endOf(oldest) + leaseMsMin) return;
      this.#generations.pop();
      if (this.#generations.length === 0) this.#generations.push(this.#newGeneration());
    }
  }

  #endOf({ endMs, startMs }: Generation): number {
    return endMs ?? startMs + generationMsMax;
  }

  #newGeneration(): Generation {
    const ids = new IdSet(this.#bytesMax / generationsMax);
    return { ids, startMs: this.#clock.monotonicMs(), endMs: null, bytes: 0, count: 0 };
  }
}

/** What was replaced meanwhile has another size, so the sums are kept from going below nothing. */
function count(generation: Generation, artifacts: number, bytesEach: number): void {
  generation.count = Math.max(0, generation.count + artifacts);
  generation.bytes = Math.max(0, generation.bytes + artifacts * bytesEach);
}
