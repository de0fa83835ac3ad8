import { asFault } from "../base/fault.ts";
import type { LoopSteps } from "../base/loop-steps.ts";
import type { CatalogView } from "./catalog-view.ts";
import { fillFilter } from "./id-filter.ts";
import type { Maintenance } from "./maintenance.ts";
import type { StoreNote } from "./open.ts";

/** Fewer rows than that are not worth a walk over the index. */
const evictedMin = 50_000;

/**
 * A filter of ids forgets nothing: once as many rows have gone as half of what it has seen, look-ups of keys that are not
 * there ask the index more and more often. Then another one is filled beside it and takes its place.
 */
export class FilterRefresh {
  readonly #maintenance: () => Maintenance | null;
  readonly #note: StoreNote;
  readonly #steps: LoopSteps;
  #evicted = 0;
  #isRunning = false;

  constructor(options: {
    maintenance: () => Maintenance | null;
    steps: LoopSteps;
    note: StoreNote;
  }) {
    this.#maintenance = options.maintenance;
    this.#note = options.note;
    this.#steps = options.steps;
  }

  /** `isWanted`: false once the view is of no use any more. */
  noteEvicted(view: CatalogView, isWanted: () => boolean): void {
    this.#evicted += 1;
    if (this.#isRunning || this.#evicted < Math.max(evictedMin, view.filter.addedCount / 2)) return;
    this.#evicted = 0;
    this.#isRunning = true;
    void this.#run(view, isWanted).finally(() => {
      this.#isRunning = false;
    });
  }

  async #run(view: CatalogView, isWanted: () => boolean): Promise<void> {
    const worker = this.#maintenance();
    if (worker === null || !view.filter.isComplete) return;
    const next = view.filter.startNext();
    try {
      await fillFilter(next, worker, { isWanted, steps: this.#steps });
      if (isWanted()) view.filter = next;
    } catch (error) {
      this.#note("filter not filled", { reason: asFault(error).message });
    } finally {
      view.filter.endNext();
    }
  }
}
