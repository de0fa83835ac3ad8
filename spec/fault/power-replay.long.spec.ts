import { expect, test } from "bun:test";
import { minute } from "../../runtime/base/units.ts";
import { runPowerReplay } from "../support/power-replay.ts";

const testMsMax = 60 * minute;

test(
  "whatever a power cut leaves of a directory opens, and holds everything acknowledged",
  async () => {
    const report = await runPowerReplay();
    expect(report.torn).toBeGreaterThan(report.images / 2);
    expect(report.rebuilt).toBeGreaterThan(0);
  },
  testMsMax,
);
