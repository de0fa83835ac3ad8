import type { Clock } from "../base/clock.ts";
import { second } from "../base/units.ts";

/** How much a new second counts against all before it. */
const newShare = 0.3;

/** Bytes written a second, smoothed over the last few. */
export class WriteRate {
  readonly #clock: Clock;
  #rate = 0;
  #bytes = 0;
  #sinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#settle();
  }

  get bytesPerSecond(): number {
    this.#settle();
    return this.#rate;
  }

  #settle(): void {
    const nowMs = this.#clock.monotonicMs();
    const passedMs = nowMs - this.#sinceMs;
    if (passedMs < second) return;
    const measured = (this.#bytes * second) / passedMs;
    // After a pause the seconds in which nothing was written count one by one.
    const share = 1 - (1 - newShare) ** (passedMs / second);
    this.#rate += (measured - this.#rate) * share;
    this.#bytes = 0;
    this.#sinceMs = nowMs;
  }
}
