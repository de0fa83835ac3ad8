import type { Clock } from "../../base/clock.ts";
import {
  describeSpace,
  parseHoldingsLimit,
  type SpaceReport,
  unitsListed,
} from "../../catalog/space-report.ts";
import type { Metrics } from "../../observe/metrics.ts";
import type { Store } from "../../store/store.ts";

export type SpaceDeps = {
  readonly clock: Clock;
  readonly store: () => Store;
  readonly metrics: Metrics;
};

/** Who fills the store, from a census of now or of the last 10 s. `limit`: holdings that are listed, 1 to 1,000. */
export async function reportSpace(
  { clock, store: openStore, metrics }: SpaceDeps,
  limit: string | undefined,
): Promise<SpaceReport> {
  const listed = parseHoldingsLimit(limit);
  const store = openStore();
  const { contents } = store;
  const census = await contents.census();
  const names = await contents.nameHoldings(census, listed);
  const { pointerReads } = metrics;
  const { usedBytes, capacityBytes, freeBytes } = store.usage();
  return describeSpace({
    wallMs: clock.wallMs(),
    usage: { usedBytes, capacityBytes, freeBytes },
    census,
    limit: listed,
    names,
    reads: { total: pointerReads.total(), entries: pointerReads.entries() },
    nextToGo: store.nextToGo(unitsListed),
  });
}
