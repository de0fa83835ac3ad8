import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { minute } from "../../runtime/base/units.ts";
import { type PlantedBug, plantedBugs } from "../support/planted.ts";
import type { Planted } from "../support/sim-store.ts";
import { cutEverywhere } from "../support/sim-store-exhaustive.ts";
import { sweepFaults } from "../support/sim-store-faults.ts";
import { runSeeds, seedsFrom } from "../support/sim-store-run.ts";
import { twentySteps } from "../support/sim-store-script.ts";

/** The suites of this folder, each with a budget that is a small part of what it has on its own. */
const suites = {
  "power-cut seeds": async (planted: Planted | null) => {
    const report = await runSeeds(seedsFrom(1, 200), { marks: new Map(), planted });
    return report.failed;
  },
  "power-cut exhaustive": async (planted: Planted | null) => {
    const steps = twentySteps;
    const shared = { steps, blockBytes: 512, piecesMax: 5, marks: new Map() };
    return (await cutEverywhere({ ...shared, planted })).breaches;
  },
  faults: async (planted: Planted | null) => {
    const options = { steps: twentySteps, marks: new Map(), planted, seed: 1 };
    return (await sweepFaults(options, { stride: 5, from: 0 })).breaches;
  },
} as const;

/** Which suite has to find which bug, whatever else the others find. */
const finders: Readonly<Record<PlantedBug, readonly (keyof typeof suites)[]>> = {
  skipSegmentSync: ["power-cut exhaustive", "power-cut seeds"],
  skipFolderSync: ["power-cut exhaustive", "power-cut seeds"],
  rowBeforeBytes: ["power-cut exhaustive", "faults"],
  ignoreShortWrite: ["faults", "power-cut seeds"],
  retryFailedSync: ["faults", "power-cut seeds"],
};

describe.each(Object.keys(suites) as (keyof typeof suites)[])("%s", (suite) => {
  test(
    "finds nothing where no bug is planted",
    async () => {
      expect(await suites[suite](null)).toEqual([]);
    },
    5 * minute,
  );

  const bugs = Object.keys(finders) as PlantedBug[];
  test.each(bugs.filter((bug) => finders[bug].includes(suite)))(
    "finds the planted bug %s",
    async (bug) => {
      const found = await suites[suite](plantedBugs[bug]);
      console.log(`planted ${bug}, found by ${suite}: ${found[0]}`);
      expect(found.length).toBeGreaterThan(0);
    },
    5 * minute,
  );
});

test.each(["ignoreShortWrite", "retryFailedSync"] as const)(
  "the planted bug %s is found by what is lost, and not only by the calls that lost it",
  async (planted) => {
    const options = { steps: twentySteps, marks: new Map(), seed: 1 };
    const lost: string[] = [];
    for (let from = 0; from < 10 && lost.length === 0; from++) {
      const each = { ...options, planted: plantedBugs[planted] };
      const { breaches } = await sweepFaults(each, { stride: 10, from });
      lost.push(...breaches.filter((breach) => /found .*, allowed/.test(breach)));
    }
    expect(lost.length).toBeGreaterThan(0);
  },
  5 * minute,
);

describe("a tenant that is left out of the key", () => {
  const support = path.resolve(import.meta.dir, "../support");
  const check = (preload: readonly string[]) =>
    spawnSync(process.execPath, [...preload, path.join(support, "planted-tenant-check.ts")], {
      encoding: "utf8",
    });

  test("is found in the store and over HTTP", () => {
    const run = check(["--preload", path.join(support, "planted-tenant.ts")]);
    expect(run.status).toBe(1);
    expect(run.stdout).toContain("store: ");
    expect(run.stdout).toContain("http: the other tenant got 200: our bytes");
  });

  test("is the only reason for the same check to fail", () => {
    const run = check([]);
    expect(`${run.stdout}${run.stderr}`).toBe("");
    expect(run.status).toBe(0);
  });
});
