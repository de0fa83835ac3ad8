// heavy
import { expect, test } from "bun:test";
import { MiB, minute, second } from "../../runtime/base/units.ts";
import { withFaultRun } from "../support/fault-run.ts";
import { describeSoak, otherDescriptors, runSoak } from "../support/soak.ts";

const capacityBytes = 192 * MiB;
const largestBytes = 4 * MiB + 4 * MiB;
const descriptorsApartMax = 8;
/** What the node keeps open to read it again: 64 files for bodies that it reads, and as many for those it sends. */
const dataDescriptorsMax = 2 * 64 + descriptorsApartMax;
const keptBytesMax = 32 * MiB;

test(
  "two minutes of everything that clients do leave books that balance and nothing behind",
  async () => {
    const report = await withFaultRun("soak", (run) =>
      runSoak(run, {
        capacityBytes,
        settleMs: 20 * second,
        loadMs: 66 * second,
        quietMs: 25 * second,
      }),
    );
    console.log(describeSoak(report));
    expect(report.leftovers).toEqual([]);
    expect(report.evicted).toBeGreaterThan(0);
    expect(report.dataBytesMax).toBeLessThanOrEqual(capacityBytes + largestBytes);
    const apart = Math.abs(otherDescriptors(report.last) - otherDescriptors(report.base));
    expect(apart).toBeLessThanOrEqual(descriptorsApartMax);
    expect(report.last.dataDescriptors).toBeLessThanOrEqual(dataDescriptorsMax);
    expect(report.quietBytes).toBeLessThanOrEqual(report.firstBytes + keptBytesMax);
    expect(report.trend.isRising).toBe(false);
  },
  4 * minute,
);
