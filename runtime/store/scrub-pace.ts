import { second } from "../base/units.ts";

/** Lateness of timers is caught up, so that the rate is kept; what a longer standstill cost is not. */
const catchUpMsMax = 2 * second;

/** Spreads reads over time: so many bytes a second in the mean. */
export class ScrubPace {
  readonly #bytesPerSecond: number;
  /** When the next bytes are due; null before the first. */
  #dueMs: number | null = null;

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Milliseconds to wait at `nowMs` after so many bytes. */
  waitAfter(readBytes: number, nowMs: number): number {
    const fromMs = Math.max(this.#dueMs ?? nowMs, nowMs - catchUpMsMax);
    this.#dueMs = fromMs + (second * readBytes) / this.#bytesPerSecond;
    return Math.max(0, this.#dueMs - nowMs);
  }
}
