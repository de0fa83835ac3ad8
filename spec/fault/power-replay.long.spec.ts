import { expect, test } from "bun:test";
import { minute } from "../../runtime/base/units.ts";
import { runPowerReplay } from "../support/power-replay.ts";

/** Each start of the node checkpoints once: there must be more than these. */
const lives = 3;
/** Acknowledged changes behind a cut, on average: half of what 200 operations come to, less a margin. */
const acknowledgedMin = 50;
const testMsMax = 60 * minute;

test(
  "whatever a power cut leaves of a directory opens, and holds everything acknowledged",
  async () => {
    const report = await runPowerReplay();
    expect(report.torn).toBeGreaterThan(report.images / 4);
    expect(report.acknowledged).toBeGreaterThan(report.images * acknowledgedMin);
    expect(report.indexSyncs).toBeGreaterThan(lives);
    expect(report.rebuilt).toBeGreaterThan(0);
  },
  testMsMax,
);
