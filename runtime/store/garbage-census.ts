import type { Clock } from "../base/clock.ts";
import { asFault } from "../base/fault.ts";
import type { LoopSteps } from "../base/loop-steps.ts";
import { second } from "../base/units.ts";
import type { Garbage } from "./garbage.ts";
import type { Maintenance } from "./maintenance.ts";
import type { StoreNote } from "./open.ts";

/** Cleans come in rows: one census is for all of them. */
const afterCleanMs = 10 * second;

export type GarbageCensusOptions = {
  readonly clock: Clock;
  readonly maintenance: () => Maintenance | null;
  readonly isServing: () => boolean;
  readonly steps: LoopSteps;
  readonly note: StoreNote;
};

/** After a clean nobody knows which segments its records lie in: the Worker counts what still lives in each. */
export class GarbageCensus {
  readonly #options: GarbageCensusOptions;
  #isWanted = false;

  constructor(options: GarbageCensusOptions) {
    this.#options = options;
  }

  /** A scope was cleaned. `then` is called when the garbage is known. */
  noteClean(garbage: Garbage, active: () => number, then: () => void): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    this.#options.clock.after(afterCleanMs, () => {
      this.#isWanted = false;
      void this.#take(garbage, active, then);
    });
  }

  async #take(garbage: Garbage, active: () => number, then: () => void): Promise<void> {
    const { maintenance, isServing, steps, note } = this.#options;
    const worker = maintenance();
    if (worker === null || !isServing()) return;
    // A segment that is written to meanwhile is not the census's to judge.
    const before = active();
    try {
      const { segments } = await worker.census();
      if (!isServing()) return;
      steps.run("recount", () => garbage.learn(segments, before));
      then();
    } catch (error) {
      note("garbage not counted", { reason: asFault(error).message });
    }
  }
}
