import { expect, test } from "bun:test";
import { MiB, minute } from "../../runtime/base/units.ts";
import { drawSeed } from "../support/fault-run.ts";
import { describeHotSet, type HotSetOptions, runHotSet } from "../support/hot-set.ts";

const capacityBytes = 128 * MiB;
/** Of the hit rate. @source the figure that was asked for: 5 points. */
const lossMax = 0.05;
/** What no hot set would keep: without it the load would show nothing. */
const hitRateMin = 0.9;

test.each<{ how: string; end: HotSetOptions["end"] }>([
  { how: "stopped", end: "stop" },
  { how: "killed", end: "kill" },
])(
  "a full node that was $how keeps what is read, although it is older than half of its data",
  async ({ end }) => {
    const seed = drawSeed();
    const report = await runHotSet({ capacityBytes, seed, end });
    console.log(`${describeHotSet(report)}; seed ${seed}`);
    expect(report.evictedBefore).toBeGreaterThan(0);
    expect(report.evictedAfter).toBeGreaterThan(0);
    expect(report.before.small).toBeGreaterThan(hitRateMin);
    expect(report.after.small).toBeGreaterThanOrEqual(report.before.small - lossMax);
    expect(report.after.large).toBeGreaterThanOrEqual(report.before.large - lossMax);
  },
  3 * minute,
);
