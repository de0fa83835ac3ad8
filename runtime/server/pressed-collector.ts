import type { Clock } from "../base/clock.ts";
import { second } from "../base/units.ts";
import type { MemoryPressure } from "../observe/memory-pressure.ts";
import { isWorse, type MemoryTier } from "../observe/memory-tier.ts";

/** Between two collections while memory is short; twice as long after each that freed next to nothing. */
const pauseMs = { min: 1 * second, max: 32 * second };
/** Of the hard mark: less than this is next to nothing. */
const helpShare = 1 / 64;

type CollectorParts = {
  readonly clock: Clock;
  readonly pressure: MemoryPressure;
  /** Frees what nobody holds any more. */
  readonly collect: () => void;
};

/**
 * What was shed, and what a load has left, is free only once it was collected, and the collector has no reason to look
 * when nothing happens any more: without this a tier could outlast its load.
 */
export class PressedCollector {
  readonly #parts: CollectorParts;
  #pauseMs = pauseMs.min;
  #atMs = Number.NEGATIVE_INFINITY;
  #bytesThen = 0;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  look(before: MemoryTier): void {
    const { pressure, clock } = this.#parts;
    const { tier, usedBytes } = pressure;
    if (usedBytes === null) return;
    if (isWorse(tier, before)) {
      this.#pauseMs = pauseMs.min;
      this.#collect(usedBytes);
      return;
    }
    if (tier === "normal" || clock.monotonicMs() - this.#atMs < this.#pauseMs) return;
    const hasHelped = this.#bytesThen - usedBytes >= helpShare * pressure.marks.hardBytes;
    this.#pauseMs = hasHelped ? pauseMs.min : Math.min(pauseMs.max, 2 * this.#pauseMs);
    this.#collect(usedBytes);
  }

  #collect(usedBytes: number): void {
    const { clock, collect } = this.#parts;
    collect();
    this.#atMs = clock.monotonicMs();
    this.#bytesThen = usedBytes;
  }
}
