import fs from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../runtime/base/clock.ts";
import { showBytes } from "../runtime/config/value.ts";
import { projectFolder } from "../spec/support/node-process.ts";
import { type GetResult, measureGet, readSizes } from "./bench/get.ts";
import { measureGrpc } from "./bench/grpc.ts";
import { renderGrpcNote } from "./bench/grpc-report.ts";
import { describeMachine, watchMachine } from "./bench/machine.ts";
import { measureOwnLoad, ownLoadSizes } from "./bench/own-load.ts";
import { measurePut, type PutResult, writeSizes } from "./bench/put.ts";
import { type Results, renderNote } from "./bench/report.ts";
import { measureListening, measureReady, measureVersion, requireBinary } from "./bench/starts.ts";
import { measureSyncs } from "./bench/syncs.ts";

const help = `Measures Kura and writes docs/bench/<date>.md; the same figures as JSON on standard output.

Usage: bun scripts/bench.ts [options]
  --only LIST      of listening,version,ready,put,syncs,get,http,grpc (default: all but grpc)
  --sizes LIST     of 1KiB,64KiB,1MiB,64MiB, for put, get and http (default: all)
  --rounds N       runs of each measurement (default 3; starts use three times as many)
  --artifacts N    artifacts in the directory for "ready" (default 100000)
  --binary FILE    default dist/kura
  --note FILE      where to write the note; "none" writes no note
Needs two cores, nginx, wrk and strace. grpc writes a note of its own, docs/bench/<date>-grpc.md, and compares with
bazel-remote when KURA_BENCH_BAZEL_REMOTE names its program or it is on PATH.`;

const usualMeasurements = ["listening", "version", "ready", "put", "syncs", "get", "http"] as const;
const measurements = [...usualMeasurements, "grpc"] as const;
type Measurement = (typeof measurements)[number];

type Wishes = {
  only: ReadonlySet<Measurement>;
  rounds: number;
  artifacts: number;
  /** Of bodies, as they stand on the command line. */
  sizes: readonly string[];
  binary: string;
  note: string | null;
};

async function measureAll(wishes: Wishes): Promise<Results> {
  const { binary, rounds, only } = wishes;
  const machine = watchMachine();
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
  const syncs = await step("syncs", () => measureSyncs({ binary, writes: 10_000 }));
  const puts = await step("put", () => measurePuts(wishes));
  const gets = await step("get", () => measureGets(wishes));
  const ownLoad = await step("http", () =>
    measureOwnLoad({ binary, rounds, sizes: wishes.sizes.join() }),
  );
  return {
    date: today(),
    command: ownCommand(),
    machine: describeMachine(),
    ...machine(),
    ...(listeningMs && { listeningMs }),
    ...(versionMs && { versionMs }),
    ...(ready && { ready }),
    ...(syncs && { syncs }),
    ...(puts && { puts }),
    ...(gets && { gets }),
    ...(ownLoad && { ownLoad }),
  };
}

async function measurePuts({ binary, rounds, sizes }: Wishes): Promise<PutResult[]> {
  const results: PutResult[] = [];
  for (const size of writeSizes) {
    if (sizes.includes(sizeName(size.bodyBytes))) {
      results.push(await measurePut({ binary, rounds, ...size }));
    }
  }
  return results;
}

async function measureGets({ binary, rounds, sizes }: Wishes): Promise<GetResult[]> {
  const results: GetResult[] = [];
  for (const size of readSizes) {
    if (sizes.includes(sizeName(size.bodyBytes))) {
      results.push(await measureGet({ binary, rounds, size }));
    }
  }
  return results;
}

function sizeName(bodyBytes: number): string {
  return showBytes(bodyBytes).replace(" ", "");
}

function readWishes(): Wishes | null {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: usualMeasurements.join(",") },
      rounds: { type: "string", default: "3" },
      artifacts: { type: "string", default: "100000" },
      sizes: { type: "string", default: ownLoadSizes },
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
  const binary = requireBinary(values.binary);
  return { only: new Set(only), rounds, artifacts, sizes: parseSizes(values.sizes), binary, note };
}

function parseMeasurement(word: string): Measurement {
  const found = measurements.find((name) => name === word);
  if (found !== undefined) return found;
  throw new Error(`Cannot measure "${word}": there are ${measurements.join(", ")}`);
}

function parseSizes(text: string): string[] {
  const known = ownLoadSizes.split(",");
  const sizes = text.split(",");
  if (sizes.every((size) => known.includes(size))) return sizes;
  throw new Error(`Cannot use --sizes ${text}: there are ${known.join(", ")}`);
}

function parseCount(option: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new Error(`Cannot use ${option} ${text}: a whole number from 1 is needed`);
}

function writeNote(text: string, target: string): void {
  const full = path.resolve(projectFolder, target);
  fs.mkdirSync(path.dirname(full), { recursive: true });
  fs.writeFileSync(full, text);
  console.error(`wrote ${target}`);
}

/** Its note is its own: nothing in it is about nginx. */
async function measureGrpcAlone({ binary, rounds, note }: Wishes): Promise<void> {
  console.error("measuring grpc ...");
  const result = await measureGrpc({ binary, rounds });
  const head = { date: today(), command: ownCommand(), machine: describeMachine() };
  if (note !== null) {
    writeNote(renderGrpcNote(head, result), path.join("docs/bench", `${head.date}-grpc.md`));
  }
  console.log(JSON.stringify({ ...head, grpc: result }, null, 2));
}

function today(): string {
  return new Date(systemClock.wallMs()).toISOString().slice(0, 10);
}

function ownCommand(): string {
  return ["bun scripts/bench.ts", ...process.argv.slice(2)].join(" ");
}

async function main(): Promise<void> {
  const wishes = readWishes();
  if (wishes === null) return console.log(help);
  if (wishes.only.has("grpc")) await measureGrpcAlone(wishes);
  if (wishes.only.size === 1 && wishes.only.has("grpc")) return;
  const results = await measureAll(wishes);
  if (wishes.note !== null) {
    const usual = path.join("docs/bench", `${results.date}.md`);
    writeNote(renderNote(results), wishes.note === "" ? usual : wishes.note);
  }
  console.log(JSON.stringify(results, null, 2));
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  // Not exitCode: whatever a failed measurement left running must not keep us here.
  process.exit(1);
}
