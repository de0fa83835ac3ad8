import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../runtime/base/clock.ts";
import { projectFolder } from "../spec/support/node-process.ts";
import { measureGet, readSizes } from "./bench/get.ts";
import { describeMachine, rounded, watchSteal } from "./bench/machine.ts";
import { measurePut } from "./bench/put.ts";
import { type Results, renderNote } from "./bench/report.ts";
import { measureListening, measureReady, measureVersion, requireBinary } from "./bench/starts.ts";
import { measureSyncs } from "./bench/syncs.ts";

const help = `Measures Kura and writes docs/bench/<date>.md; the same figures as JSON on standard output.

Usage: bun scripts/bench.ts [options]
  --only LIST      of listening,version,ready,put,syncs,get (default: all)
  --rounds N       runs of each measurement (default 3; starts use three times as many)
  --artifacts N    artifacts in the directory for "ready" (default 100000)
  --binary FILE    default dist/kura
  --note FILE      where to write the note; "none" writes no note
Needs two cores, nginx, wrk and strace.`;

const measurements = ["listening", "version", "ready", "put", "syncs", "get"] as const;
type Measurement = (typeof measurements)[number];

type Wishes = {
  only: ReadonlySet<Measurement>;
  rounds: number;
  artifacts: number;
  binary: string;
  note: string | null;
};

async function measureAll(wishes: Wishes): Promise<Results> {
  const { binary, rounds, only } = wishes;
  const steal = watchSteal();
  const loadBefore = rounded(os.loadavg()[0] ?? 0);
  const step = async <T>(name: Measurement, run: () => Promise<T>): Promise<T | undefined> => {
    if (!only.has(name)) return undefined;
    console.error(`measuring ${name} ...`);
    return await run();
  };
  const listeningMs = await step("listening", () => measureListening(binary, 3 * rounds));
  const versionMs = await step("version", () => measureVersion(binary, 3 * rounds));
  const ready = await step("ready", () =>
    measureReady({ binary, rounds, artifacts: wishes.artifacts, bodyBytes: 1024 }),
  );
  const put = await step("put", () =>
    measurePut({ binary, rounds, bodyBytes: 1024, requests: 30_000 }),
  );
  const syncs = await step("syncs", () => measureSyncs({ binary, writes: 10_000 }));
  const gets = await step("get", async () => {
    const results = [];
    for (const size of readSizes) results.push(await measureGet({ binary, size, rounds }));
    return results;
  });
  return {
    date: new Date(systemClock.wallMs()).toISOString().slice(0, 10),
    command: ["bun scripts/bench.ts", ...process.argv.slice(2)].join(" "),
    machine: describeMachine(),
    stealPercent: steal(),
    loadBefore,
    ...(listeningMs && { listeningMs }),
    ...(versionMs && { versionMs }),
    ...(ready && { ready }),
    ...(put && { put }),
    ...(syncs && { syncs }),
    ...(gets && { gets }),
  };
}

function readWishes(): Wishes | null {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: measurements.join(",") },
      rounds: { type: "string", default: "3" },
      artifacts: { type: "string", default: "100000" },
      binary: { type: "string", default: "dist/kura" },
      note: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const only = values.only.split(",").map(parseMeasurement);
  const rounds = parseCount("--rounds", values.rounds);
  const artifacts = parseCount("--artifacts", values.artifacts);
  const note = values.note === "none" ? null : (values.note ?? "");
  return { only: new Set(only), rounds, artifacts, binary: requireBinary(values.binary), note };
}

function parseMeasurement(word: string): Measurement {
  const found = measurements.find((name) => name === word);
  if (found !== undefined) return found;
  throw new Error(`Cannot measure "${word}": there are ${measurements.join(", ")}`);
}

function parseCount(option: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new Error(`Cannot use ${option} ${text}: a whole number from 1 is needed`);
}

function writeNote(results: Results, file: string): void {
  const target = file === "" ? path.join("docs/bench", `${results.date}.md`) : file;
  const full = path.resolve(projectFolder, target);
  fs.mkdirSync(path.dirname(full), { recursive: true });
  fs.writeFileSync(full, renderNote(results));
  console.error(`wrote ${target}`);
}

async function main(): Promise<void> {
  const wishes = readWishes();
  if (wishes === null) return console.log(help);
  const results = await measureAll(wishes);
  if (wishes.note !== null) writeNote(results, wishes.note);
  console.log(JSON.stringify(results, null, 2));
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  // Not exitCode: whatever a failed measurement left running must not keep us here.
  process.exit(1);
}
