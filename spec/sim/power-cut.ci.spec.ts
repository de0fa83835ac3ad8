// slow: five minutes of one core
import { expect, test } from "bun:test";
import { GiB, minute } from "../../runtime/base/units.ts";
import { cutEverywhere } from "../support/sim-store-exhaustive.ts";
import { type Marks, missedMarks, runSeeds, seedsFrom } from "../support/sim-store-run.ts";
import { twentySteps } from "../support/sim-store-script.ts";

const seedCount = 10_000;
const testMsMax = 18 * minute;

test(
  "a power cut at every call of the script leaves only images that open well, in sectors of 512 bytes",
  async () => {
    const marks: Marks = new Map();
    const piecesMax = 12;
    const report = await cutEverywhere({ steps: twentySteps, blockBytes: 512, piecesMax, marks });
    const whole = report.cuts - report.sampledCuts;
    console.log(
      `power-cut: ${report.images} images of ${report.cuts} cuts, 512-byte sectors; every subset at ${whole} cuts, ` +
        `${2 ** piecesMax} drawn ones at the ${report.sampledCuts} cuts with more than ${piecesMax} unflushed pieces`,
    );
    expect(report.breaches).toEqual([]);
    expect(report.cuts).toBeGreaterThan(50);
    // A hundred thousand stores come and go: what is left of them would take all the memory there is.
    expect(process.memoryUsage.rss()).toBeLessThan(2 * GiB);
  },
  testMsMax,
);

test(
  `${seedCount} seeds lose nothing acknowledged, and reach every mark`,
  async () => {
    const marks: Marks = new Map();
    const report = await runSeeds(seedsFrom(1, seedCount), { marks });
    console.log(`power-cut: ${report.seeds} seeds, ${JSON.stringify(Object.fromEntries(marks))}`);
    expect(report.failed).toEqual([]);
    expect(missedMarks(marks, 10)).toEqual([]);
  },
  testMsMax,
);
