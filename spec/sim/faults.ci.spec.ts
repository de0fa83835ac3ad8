import { expect, test } from "bun:test";
import { systemRandom } from "../../runtime/base/random.ts";
import { minute } from "../../runtime/base/units.ts";
import { sweepFaults } from "../support/sim-store-faults.ts";
import type { Marks } from "../support/sim-store-run.ts";
import { twentySteps } from "../support/sim-store-script.ts";

const stride = 10;

test(
  "every tenth call is failed in every way: nothing acknowledged is lost, and the store writes again by itself",
  async () => {
    const from = systemRandom.below(stride);
    const marks: Marks = new Map();
    const report = await sweepFaults({ steps: twentySteps, marks, seed: 1 }, { stride, from });
    console.log(
      `faults: every ${stride}th of the calls that can fail, from the ${from + 1}th on: ${report.runs} runs, ` +
        JSON.stringify(Object.fromEntries(marks)),
    );
    expect(report.breaches).toEqual([]);
    expect(report.runs).toBeGreaterThan(30);
  },
  5 * minute,
);
