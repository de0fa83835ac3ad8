// heavy
import { expect, test } from "bun:test";
import { GiB, hour, MiB } from "../../runtime/base/units.ts";
import { segmentBytesFor } from "../../runtime/store/format.ts";
import { drawSeed } from "../support/fault-run.ts";
import { longestStepWorkMs, longStoreStepShare } from "../support/held-loop.ts";
import { describeTenfold, middle, probePaths, runTenfold, worst } from "../support/tenfold.ts";

const capacityBytes = 2 * GiB;
/** As large as the node makes them with this capacity. */
const segmentBytesMax = segmentBytesFor(capacityBytes);
const artifactBytesMax = 4 * MiB;
/** Enough to see every file come and go. */
const looksMin = 200;
const servedMin = 100_000;
/** The goals. */
const calmShareMin = 0.6;
const readSlowdownMax = 2;
const storeStepMsMax = 10;
/** Steps that the disk or a neighbour of the machine held up. */
const longStepShareMax = 0.005;
/** One late answer of a loop that 40 clients keep busy, beside the latest of the calm one. */
const loopStepMsMax = 50;
/** Below this the read of a small artifact is as fast as a busy loop can be. */
const busyMs = 5;

test(
  "ten times the capacity goes into a node that keeps its bounds, its promises and its pace",
  async () => {
    const seed = drawSeed();
    const report = await runTenfold({
      capacityBytes,
      seed,
      rounds: 6,
      fullBytes: (9 * capacityBytes) / 6,
      calmBytes: capacityBytes / 4,
      served: servedMin,
      wish: "popular",
    });
    console.log(`${describeTenfold(report)}; seed ${seed}`);
    const { full, calm, totals, calmTotals, disk } = report;
    expect([...totals.refusals, ...calmTotals.refusals]).toEqual([]);
    expect(totals.absent).toEqual([]);
    expect(totals.served).toBeGreaterThanOrEqual(servedMin);
    expect(totals.writtenBytes).toBeGreaterThanOrEqual(10 * capacityBytes);
    expect(report.evictedBytes).toBeGreaterThan(8 * capacityBytes);
    expect(disk.looks).toBeGreaterThan(looksMin);
    expect(disk.dataBytesMax).toBeLessThanOrEqual(
      capacityBytes + segmentBytesMax + artifactBytesMax,
    );
    expect(report.lost).toBeLessThanOrEqual(report.leasesShortened);
    expect(full.bytesPerSecond / calm.bytesPerSecond).toBeGreaterThanOrEqual(calmShareMin);
    expect(calm.cpuUsPerMiB / full.cpuUsPerMiB).toBeGreaterThanOrEqual(calmShareMin);
    const { up, artifact } = probePaths;
    for (const probe of full.probes) {
      expect(probe[artifact]?.raw.failed).toBe(0);
      expect(probe[up]?.raw.failed).toBe(0);
    }
    const [readMs, calmReadMs] = [full, calm].map((side) =>
      middle(side, artifact, ({ net }) => net.p99Ms),
    );
    expect(readMs).toBeLessThanOrEqual(Math.max(busyMs, readSlowdownMax * (calmReadMs ?? 0)));
    expect(longestStepWorkMs(report.held)).toBeLessThanOrEqual(storeStepMsMax);
    expect(longStoreStepShare(report.held)).toBeLessThanOrEqual(longStepShareMax);
    const [stepMs, calmStepMs] = [full, calm].map((side) =>
      worst(side, up, ({ net }) => net.maxMs),
    );
    expect(stepMs).toBeLessThanOrEqual((calmStepMs ?? 0) + loopStepMsMax);
  },
  2 * hour,
);

test(
  "a node keeps its bounds and its promises although everything in it was read",
  async () => {
    const seed = drawSeed();
    const report = await runTenfold({
      capacityBytes: capacityBytes,
      seed,
      rounds: 2,
      fullBytes: capacityBytes,
      calmBytes: capacityBytes / 4,
      served: 0,
      wish: "everything",
    });
    console.log(`${describeTenfold(report)}; seed ${seed}`);
    const { totals, disk } = report;
    expect([...totals.refusals]).toEqual([]);
    expect(totals.absent).toEqual([]);
    expect(report.evictedBytes).toBeGreaterThan(capacityBytes);
    expect(disk.dataBytesMax).toBeLessThanOrEqual(
      capacityBytes + segmentBytesMax + artifactBytesMax,
    );
    expect(report.lost).toBeLessThanOrEqual(report.leasesShortened);
  },
  2 * hour,
);
