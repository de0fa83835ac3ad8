import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../runtime/base/random.ts";
import { minute } from "../../runtime/base/units.ts";
import { drawSeed } from "../support/fault-run.ts";
import { runDiskFaults } from "../support/flush-faults.ts";
import { planShortWrites, planSyncFaults, planWriteFaults } from "../support/flush-plans.ts";

const testMsMax = 90 * minute;
const shortWrites = 200;

describe("a disk that fails under a running node", () => {
  const random = seededRandom(drawSeed());

  test(
    "at a sync: the group is not acknowledged, the file is left alone, reads go on",
    async () => {
      const report = await runDiskFaults("sync-faults", planSyncFaults());
      console.log(`sync-faults: ${JSON.stringify(report)}`);
      expect(report.injectedFailures).toBeGreaterThan(0);
    },
    testMsMax,
  );

  test(
    "at a write: nothing of it is acknowledged or seen, reads go on",
    async () => {
      const report = await runDiskFaults("write-faults", planWriteFaults());
      console.log(`write-faults: ${JSON.stringify(report)}`);
      expect(report.injectedFailures).toBeGreaterThan(0);
    },
    testMsMax,
  );

  test(
    "with short writes: nothing of them is acknowledged or seen, reads go on",
    async () => {
      const report = await runDiskFaults("short-writes", planShortWrites(random, shortWrites));
      console.log(`short-writes: ${JSON.stringify(report)}`);
      expect(report.refused).toBeGreaterThan(0);
    },
    testMsMax,
  );
});
