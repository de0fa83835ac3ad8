import { expect, test } from "bun:test";
import { minute } from "../../runtime/base/units.ts";
import { withFaultRun } from "../support/fault-run.ts";
import { recordPowerRun, replayPowerCuts, runPowerReplay } from "../support/power-replay.ts";

/** Each start of the node checkpoints once: there must be more than these. */
const lives = 3;
/** Acknowledged changes behind a cut, on average: half of what 200 operations come to, less a margin. */
const acknowledgedMin = 50;
const testMsMax = 5 * minute;

test(
  "whatever a power cut leaves of a directory opens, and holds everything acknowledged",
  async () => {
    const report = await runPowerReplay();
    expect(report.torn).toBeGreaterThan(report.images / 4);
    expect(report.acknowledged).toBeGreaterThan(report.images * acknowledgedMin);
    expect(report.indexSyncs).toBeGreaterThan(lives);
  },
  testMsMax,
);

/** Flushes that are left out of the replay, as if the node had not made them. */
const ignoredSyncs = {
  "of segments": (file: string) => file.endsWith(".seg"),
  "of the folder of segments": (file: string) => file === "segments",
  "of large files": (file: string) => file.endsWith(".body"),
  "of the folder of large files": (file: string) => file === "large",
} as const;

test(
  "a node that left out one kind of flush would be found",
  async () => {
    await withFaultRun("power-replay-planted", async (run) => {
      const recording = await recordPowerRun(run);
      for (const [which, isSyncIgnored] of Object.entries(ignoredSyncs)) {
        const report = await replayPowerCuts({ run, recording, images: 100, isSyncIgnored });
        console.log(`without syncs ${which}: ${report.breaches[0]}`);
        expect(report.breaches.some((breach) => breach.includes('"missing"'))).toBe(true);
      }
    });
  },
  testMsMax,
);
