// heavy
import { expect, test } from "bun:test";
import { MiB, minute } from "../../runtime/base/units.ts";
import { segmentBytesFor } from "../../runtime/store/format.ts";
import { drawSeed } from "../support/fault-run.ts";
import { longStoreStepShare } from "../support/held-loop.ts";
import { describeTenfold, middle, probePaths, runTenfold } from "../support/tenfold.ts";

const capacityBytes = 192 * MiB;
const readCapacityBytes = 96 * MiB;
/** As large as the node makes them with this capacity. */
const segmentBytesMax = segmentBytesFor(capacityBytes);
const artifactBytesMax = 4 * MiB;
/** Enough to see every file come and go. */
const looksMin = 200;
const servedMin = 10_000;
/** Goals of the long run; machines that are shared get ten times their margin, and one late answer much more. */
const calmShareMin = 0.6 / 10;
const readSlowdownMax = 2 * 10;
/** None in the long run, on a quiet machine; here others may take the cores for as long as they like. */
const longStepShareMax = 0.1;
const loopStepMsMax = 500;
/** What one turn of a busy loop takes beside any step of maintenance, and what a slow machine adds. */
const busyMs = 50;

test(
  "ten times the capacity goes into a node that keeps its bounds, its promises and its pace",
  async () => {
    const seed = drawSeed();
    const report = await runTenfold({
      capacityBytes,
      seed,
      rounds: 4,
      fullBytes: (9 * capacityBytes) / 4,
      calmBytes: capacityBytes / 2,
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
    expect(longStoreStepShare(report.held)).toBeLessThanOrEqual(longStepShareMax);
    const [stepMs, calmStepMs] = [full, calm].map((side) =>
      middle(side, up, ({ net }) => net.p999Ms),
    );
    expect(stepMs).toBeLessThanOrEqual((calmStepMs ?? 0) + loopStepMsMax);
  },
  10 * minute,
);

test(
  "a node keeps its bounds and its promises although everything in it was read",
  async () => {
    const seed = drawSeed();
    const report = await runTenfold({
      capacityBytes: readCapacityBytes,
      seed,
      rounds: 2,
      fullBytes: readCapacityBytes,
      calmBytes: readCapacityBytes / 4,
      served: 0,
      wish: "everything",
    });
    console.log(`${describeTenfold(report)}; seed ${seed}`);
    const { totals, disk } = report;
    expect([...totals.refusals]).toEqual([]);
    expect(totals.absent).toEqual([]);
    expect(report.evictedBytes).toBeGreaterThan(readCapacityBytes);
    expect(disk.dataBytesMax).toBeLessThanOrEqual(
      readCapacityBytes + segmentBytesMax + artifactBytesMax,
    );
    expect(report.lost).toBeLessThanOrEqual(report.leasesShortened);
  },
  10 * minute,
);
