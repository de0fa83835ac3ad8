import { expect, test } from "bun:test";
import { hour } from "../../runtime/base/units.ts";
import { runKillLoop } from "../support/kill-loop.ts";

/** `KURA_KILL_CYCLES=50` makes a run of another length. */
const cycles = Number(process.env.KURA_KILL_CYCLES ?? "1000");
const testMsMax = 3 * hour;

test(
  "a node killed under load, in replay and in rebuild keeps every acknowledged write of every cycle",
  async () => {
    const report = await runKillLoop(cycles);
    console.log(`kill-loop: ${JSON.stringify(report)}`);
    expect(report.killsInLoad).toBe(cycles);
  },
  testMsMax,
);
