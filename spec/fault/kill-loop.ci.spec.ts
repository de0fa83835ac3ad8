import { expect, test } from "bun:test";
import { minute } from "../../runtime/base/units.ts";
import { runKillLoop } from "../support/kill-loop.ts";

const cycles = 20;
const testMsMax = 4 * minute;

test(
  "a node killed under load, in replay and in rebuild keeps every acknowledged write of every cycle",
  async () => {
    const report = await runKillLoop(cycles);
    console.log(`kill-loop: ${JSON.stringify(report)}`);
    expect(report.killsInLoad).toBe(cycles);
    expect(report.killsInReplay).toBeGreaterThan(0);
    expect(report.killsInRebuild).toBeGreaterThan(0);
  },
  testMsMax,
);
