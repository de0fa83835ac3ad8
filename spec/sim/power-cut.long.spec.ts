import { expect, test } from "bun:test";
import { systemRandom } from "../../runtime/base/random.ts";
import { hour } from "../../runtime/base/units.ts";
import { type Marks, missedMarks, runSeeds, seedsFrom } from "../support/sim-store-run.ts";

const seedCount = 100_000;

test(
  `${seedCount} seeds lose nothing acknowledged, and reach every mark a hundred times`,
  async () => {
    const first = Number(process.env.KURA_SIM_SEED ?? systemRandom.below(2 ** 31));
    console.log(`power-cut: seeds from ${first} on (KURA_SIM_SEED=${first} repeats them)`);
    const marks: Marks = new Map();
    const report = await runSeeds(seedsFrom(first, seedCount), { marks });
    console.log(`power-cut: ${report.seeds} seeds, ${JSON.stringify(Object.fromEntries(marks))}`);
    expect(report.failed).toEqual([]);
    expect(missedMarks(marks, 100)).toEqual([]);
  },
  4 * hour,
);
