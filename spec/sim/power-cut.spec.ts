import { expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { cutEverywhere } from "../support/sim-store-exhaustive.ts";
import { type Marks, runSeeds, seedsFrom } from "../support/sim-store-run.ts";
import { twentySteps } from "../support/sim-store-script.ts";

const seedCount = 500;

test(`after power cuts, kills and failures nothing acknowledged is lost and nothing refused appears: ${seedCount} seeds`, async () => {
  const report = await runSeeds(seedsFrom(1, seedCount), { marks: new Map() });
  expect(report.failed).toEqual([]);
  expect(report.seeds).toBe(seedCount);
});

test("seeds that once found a bug find nothing", async () => {
  const lines = fs.readFileSync(path.join(import.meta.dir, "seeds.txt"), "utf8").split("\n");
  const seeds = lines.filter((line) => /^\d/.test(line)).map((line) => Number(line.split(" ")[0]));
  expect(seeds.length).toBeGreaterThan(0);
  expect((await runSeeds(seeds, { marks: new Map() })).failed).toEqual([]);
});

test("a power cut at every call of the script leaves only images that open well, in pages of 4 KiB", async () => {
  const marks: Marks = new Map();
  const report = await cutEverywhere({
    steps: twentySteps,
    blockBytes: 4_096,
    piecesMax: 12,
    marks,
  });
  console.log(`power-cut: ${report.images} images of ${report.cuts} cuts, 4 KiB pages`);
  expect(report.breaches).toEqual([]);
  expect(report.sampledCuts).toBe(0);
  expect(report.images).toBeGreaterThan(500);
});

test("the same run of a seed makes the same calls", async () => {
  const calls: string[][] = [];
  for (let run = 0; run < 2; run++) {
    const trace: string[] = [];
    const lives: { trace: readonly { kind: string; path: string }[] }[] = [];
    await runSeeds([77], { marks: new Map(), onLife: (sim) => lives.push(sim.calls) });
    for (const life of lives)
      trace.push(...life.trace.map(({ kind, path: at }) => `${kind} ${at}`));
    calls.push(trace);
  }
  expect(calls[0]?.length).toBeGreaterThan(100);
  expect(calls[1]).toEqual(calls[0] ?? []);
});
