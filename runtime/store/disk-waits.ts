import { MiB, second } from "../base/units.ts";
import type { StallWatch } from "./stall.ts";

/** What a write or sync may take at least, however small, and on top of it the time of a disk with 16 MiB/s. */
const waitMsMin = 60 * second;
const bytesPerSecondMin = 16 * MiB;

/**
 * The calls of one upload that the disk owes an answer. Whoever waits for one is let go when it does not come, but its
 * file must stay open until then: a pool thread may still write to the descriptor, whoever has that number by now.
 */
export class DiskWaits {
  readonly #stalls: StallWatch;
  #pendingCount = 0;
  #afterwards: (() => void) | null = null;

  constructor(stalls: StallWatch) {
    this.#stalls = stalls;
  }

  /** @throws Fault "unavailable" when the disk does not answer for `bytes`, or what the call throws. */
  async wait(call: Promise<void>, bytes: number): Promise<void> {
    this.#pendingCount += 1;
    const counted = call.finally(() => this.#answered());
    await this.#stalls.guard(counted, "disk", waitMsMin + (bytes / bytesPerSecondMin) * second);
  }

  /** Runs it at once when nothing is pending, else when the last answer has come. At most one is kept: the first. */
  afterwards(run: () => void): void {
    if (this.#pendingCount === 0) run();
    else this.#afterwards ??= run;
  }

  #answered(): void {
    this.#pendingCount -= 1;
    if (this.#pendingCount > 0) return;
    const run = this.#afterwards;
    this.#afterwards = null;
    run?.();
  }
}
