import { expect, test } from "bun:test";
import { seededRandom } from "../../runtime/base/random.ts";
import { hour } from "../../runtime/base/units.ts";
import { sweepFaults } from "../support/sim-store-faults.ts";
import { type Marks, reach } from "../support/sim-store-run.ts";
import { randomSteps, type Step, twentySteps } from "../support/sim-store-script.ts";

const marksWanted = [
  "failed create",
  "failed write",
  "failed sync",
  "failed syncFolder",
  "failed indexApply",
  "index repaired",
  "index set aside",
  "read-only",
  "healed",
  "start failed",
  "rebuilt",
];

/** The script of the exhaustive power cuts, and longer ones from seeds. */
const scripts: readonly (readonly Step[])[] = [
  twentySteps,
  twentySteps,
  ...[1, 2, 3, 4].map((seed) => randomSteps(seededRandom(seed), 40)),
];

test(
  "every call is failed in every way: nothing acknowledged is lost, and the store writes again by itself",
  async () => {
    const marks: Marks = new Map();
    for (const [i, steps] of scripts.entries()) {
      // An odd seed leaves the index to the last start, an even one takes it away.
      const report = await sweepFaults({ steps, marks, seed: i + 1 }, { stride: 1, from: 0 });
      console.log(`faults: script ${i + 1}: ${report.calls} calls, ${report.runs} runs`);
      expect(report.breaches).toEqual([]);
      reach(marks, "scripts");
    }
    console.log(`faults: ${JSON.stringify(Object.fromEntries(marks))}`);
    expect(marksWanted.filter((mark) => !marks.has(mark))).toEqual([]);
  },
  2 * hour,
);
