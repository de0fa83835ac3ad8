import { type Clock, sleep } from "../base/clock.ts";
import { asFault, Fault } from "../base/fault.ts";
import type { Ballast } from "./ballast.ts";
import type { CatalogView } from "./catalog-view.ts";
import type { Index, IndexBatch, IndexHome } from "./index.ts";
import type { StoreNote } from "./open.ts";

/** A failed index is opened again for this long before its group is given up. */
const repairMsMax = 1_000;
const repairPauseMs = 50;

export type RepairTools = {
  readonly home: IndexHome;
  readonly clock: Clock;
  readonly ballast: Ballast;
  readonly note: StoreNote;
};

/**
 * Opens the index again after a failed transaction, with the space of the ballast, and repeats the batch. Reads go on by the old connection until a
 * new one has done it. "void": it could not be done in time; "rebuild": the index is corrupt.
 */
export async function repairIndex(
  view: CatalogView,
  batch: IndexBatch,
  { home, clock, ballast, note }: RepairTools,
): Promise<"done" | "void" | "rebuild"> {
  ballast.release();
  note("index repair", { seq: batch.mark.seq });
  const deadlineMs = clock.monotonicMs() + repairMsMax;
  for (;;) {
    try {
      swap(view, home, (fresh) => {
        if (fresh.mark()?.seq !== batch.mark.seq) fresh.apply(batch);
      });
      return "done";
    } catch (error) {
      if (asFault(error).code === "damaged") return "rebuild";
    }
    if (clock.monotonicMs() >= deadlineMs) return "void";
    await sleep(clock, repairPauseMs);
  }
}

/**
 * Opens the index again after its last group was given up, and tries whether it can be written.
 * @throws Fault "damaged" when it is corrupt, or holds anything else than what was published up to `head`.
 */
export function reopenIndex(view: CatalogView, home: IndexHome, head: number): void {
  swap(view, home, (fresh) => {
    const mark = fresh.mark();
    if (mark === null || mark.seq !== head) {
      throw new Fault("damaged", "The index is not level with what was published");
    }
    fresh.apply({ rows: [], tombstones: [], mark, quarantined: [] });
  });
}

function swap(view: CatalogView, home: IndexHome, use: (fresh: Index) => void): void {
  const fresh = home.reopen();
  try {
    use(fresh);
  } catch (error) {
    fresh.drop();
    throw error;
  }
  view.index.drop();
  view.index = fresh;
}
