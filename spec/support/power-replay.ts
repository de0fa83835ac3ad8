import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { MiB } from "../../runtime/base/units.ts";
import { auditKeys } from "./audit.ts";
import { type FaultRun, withFaultRun } from "./fault-run.ts";
import { createJudge, type Judge } from "./judge.ts";
import { until } from "./node-process.ts";
import { isShared, ReplayDisk } from "./power-replay-disk.ts";
import type { PowerCut } from "./power-replay-file.ts";
import { ImageReader } from "./power-replay-image.ts";
import {
  drawOperations,
  historyUntil,
  runOperations,
  type StampedEntry,
  stampingJudge,
} from "./power-replay-script.ts";
import {
  isTracerGone,
  powerTraceLauncher,
  readPowerTrace,
  type TraceEvent,
  tracerOf,
} from "./power-replay-trace.ts";
import { scaled } from "./tier.ts";

/** Directory images of one run of the spec. */
const imageCount = (): number => scaled(5_000);

/** A run of a real node: every change of its directory, and what its clients did and saw. */
export type PowerRecording = {
  readonly events: readonly TraceEvent[];
  readonly stamped: readonly StampedEntry[];
  /** How often the database file of the index was synced: each checkpoint does it once. */
  readonly indexSyncs: number;
};

export type ReplayReport = {
  images: number;
  readonly events: number;
  readonly indexSyncs: number;
  /** Where a file held a part of what was not flushed. */
  torn: number;
  /** Where a creation or removal was lost. */
  withLostEntries: number;
  /** Where the store made its index anew. */
  rebuilt: number;
  tornTails: number;
  /** Opened by a process of their own, read over HTTP and verified. */
  byProcess: number;
  /** Acknowledged changes that were judged, summed over all images. */
  acknowledged: number;
  /** What is wrong with images; empty when all is well. */
  readonly breaches: string[];
};

/** Operations of each life of the node, and how it ends. */
const lives = [
  { operations: 80, end: "stop" },
  { operations: 70, end: "kill" },
  { operations: 50, end: "stop" },
] as const;
/** Small enough for several checkpoints in each life. */
const settings = {
  KURA_METADATA_STORE_WRITE_BUFFER_POOL_BYTES: "1MiB",
  KURA_METADATA_STORE_WRITE_BUFFER_BYTES: "256KiB",
};
const ballastName = "ballast";
const ballastBytes = 16 * MiB;
/** Each takes 5 ms. */
const quietPolls = 12;
const byProcessEvery = 100;
const breachesMax = 5;

/** Runs 200 operations on a real node under strace, over three lives. */
export async function recordPowerRun(run: FaultRun): Promise<PowerRecording> {
  const dataDir = path.join(run.folder, "recorded");
  fs.mkdirSync(dataDir);
  // Laid in beforehand, without blocks: 16 MiB of zeros would be most of the trace.
  fs.writeFileSync(path.join(dataDir, ballastName), "");
  fs.truncateSync(path.join(dataDir, ballastName), ballastBytes);
  const stamped: StampedEntry[] = [];
  const judge = stampingJudge(stamped);
  const events: TraceEvent[] = [];
  const disk = new ReplayDisk();
  let number = 0;
  for (const [life, { operations, end }] of lives.entries()) {
    const traceFile = path.join(run.folder, `life-${life + 1}.trace`);
    const launcher = powerTraceLauncher(traceFile);
    const node = await run.start({ dataDir, env: settings, launcher });
    const tracer = tracerOf(node.pid);
    const drawn = drawOperations(run.random, number, number + operations);
    await runOperations(node.port, judge, drawn, number);
    await untilQuiet(traceFile);
    await (end === "stop" ? node.stop() : node.kill());
    await until("strace ends", () => isTracerGone(tracer));
    const offset = events.length;
    for (const traced of readPowerTrace(traceFile, dataDir)) {
      const event = { ...traced, call: traced.call + offset };
      events.push(event);
      disk.follow(event);
    }
    compareWithDirectory(disk, dataDir);
    number += operations;
  }
  const [finding] = judge.findings;
  if (finding !== undefined) throw new Error(`Wrong before any cut: ${JSON.stringify(finding)}`);
  const indexSyncs = events.filter(isIndexSync).length;
  return { events, stamped, indexSyncs };
}

function isIndexSync({ phase, change }: TraceEvent): boolean {
  return phase === "ends" && change.at === "sync" && change.path === "kura.db";
}

/** A checkpoint goes on after the last answer: killed within a write, the trace would not say what became of it. */
async function untilQuiet(traceFile: string): Promise<void> {
  let sizeBytes = -1;
  let polls = 0;
  await until("the node is quiet", () => {
    const nowBytes = fs.statSync(traceFile).size;
    polls = nowBytes === sizeBytes ? polls + 1 : 0;
    sizeBytes = nowBytes;
    return polls >= quietPolls;
  });
}

/** Hints get their names in a way that the replay passes by, and a start without them finds all the same. */
function isUnneeded(name: string): boolean {
  return [ballastName, "read-marks", "ghosts", "scrub-position"].includes(
    name.replace(/\.next$/, ""),
  );
}

/** A trace that leads to other files than the node left is not a whole one, and proves nothing. */
function compareWithDirectory(disk: ReplayDisk, dataDir: string): void {
  const replayed = new Map(disk.visible());
  const names = fs.readdirSync(dataDir, { recursive: true, encoding: "utf8" });
  for (const name of names) {
    const file = path.join(dataDir, name);
    if (isShared(name) || isUnneeded(name) || !fs.statSync(file).isFile()) continue;
    const bytes = replayed.get(name);
    if (bytes === undefined || Buffer.compare(bytes, fs.readFileSync(file)) !== 0) {
      throw new Error(`The trace does not lead to the ${name} that the node left`);
    }
    replayed.delete(name);
  }
  const extra = [...replayed.keys()].find((name) => !isUnneeded(name));
  if (extra !== undefined) throw new Error(`The trace leads to ${extra}, which is not there`);
}

export type ReplayOptions = {
  readonly run: FaultRun;
  readonly recording: PowerRecording;
  readonly images: number;
  /** Syncs that do not count: a bug planted into the replay, which must be found. */
  readonly isSyncIgnored?: (path: string) => boolean;
};

/** Cuts the power at random moments of a recording and judges the directories that this may leave. */
export async function replayPowerCuts(options: ReplayOptions): Promise<ReplayReport> {
  const { run, recording, images, isSyncIgnored = () => false } = options;
  const report: ReplayReport = {
    images: 0,
    events: recording.events.length,
    indexSyncs: recording.indexSyncs,
    torn: 0,
    withLostEntries: 0,
    rebuilt: 0,
    tornTails: 0,
    byProcess: 0,
    acknowledged: 0,
    breaches: [],
  };
  const scratch = fs.mkdtempSync(path.join(memoryFolder(), "kura-power-"));
  const imageFolder = path.join(scratch, "image");
  const reader = new ImageReader(imageFolder);
  const disk = new ReplayDisk({ isSyncIgnored });
  const bench = { run, recording, report, reader, imageFolder };
  try {
    let followed = 0;
    for (const place of drawPlaces(run.random, images, recording.events.length)) {
      for (; followed < place; followed++) disk.follow(recording.events[followed]!);
      await judgeCut(bench, disk, place);
      if (report.breaches.length >= breachesMax) break;
    }
  } finally {
    await reader.close();
    fs.rmSync(scratch, { recursive: true, force: true });
  }
  return report;
}

/** How many events each image comes after, ascending. */
function drawPlaces(random: Random, count: number, eventCount: number): number[] {
  const places = Array.from({ length: count }, () => random.below(eventCount + 1));
  return places.sort((a, b) => a - b);
}

/** Images are written and removed by the thousand: memory is the place for them, where there is one. */
function memoryFolder(): string {
  return fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir();
}

type Bench = {
  readonly run: FaultRun;
  readonly recording: PowerRecording;
  readonly report: ReplayReport;
  readonly reader: ImageReader;
  readonly imageFolder: string;
};

async function judgeCut(bench: Bench, disk: ReplayDisk, place: number): Promise<void> {
  const { run, recording, report, imageFolder } = bench;
  const judge = judgeUntil(bench, place);
  const seed = run.random.below(2 ** 31);
  const isByProcess = report.images % byProcessEvery === byProcessEvery - 1;
  const target = isByProcess ? run.dataDir : imageFolder;
  const losses = disk.writeImage(target, powerCut(seed));
  report.images++;
  if (losses.isTorn) report.torn++;
  if (losses.hasLostEntries) report.withLostEntries++;
  try {
    if (isByProcess) await readByProcess(bench, judge);
    else await readInProcess(bench, judge);
    const [finding] = judge.findings;
    if (finding !== undefined) throw new Error(JSON.stringify(finding));
  } catch (error) {
    // The same image once more, as nobody has opened it yet.
    const kept = path.join(run.folder, `breach-${seed}`);
    disk.writeImage(kept, powerCut(seed));
    const where = `after event ${place} of ${recording.events.length}`;
    report.breaches.push(`${path.basename(kept)}, ${where}: ${String(error)}`);
  }
  fs.rmSync(target, { recursive: true, force: true });
}

function powerCut(seed: number): PowerCut {
  const random = seededRandom(seed);
  return { random, blockBytes: random.below(2) === 0 ? 512 : 4_096 };
}

function judgeUntil({ recording, report }: Bench, place: number): Judge {
  const { events, stamped } = recording;
  const lastMs = events[place - 1]?.atMs ?? 0;
  const nextMs = events[place]?.atMs ?? Number.POSITIVE_INFINITY;
  const judge = createJudge(null);
  for (const entry of historyUntil(stamped, { lastMs, nextMs })) {
    if (entry.at === "outcome" && entry.outcome === "acknowledged") report.acknowledged++;
    judge.accept(entry);
  }
  return judge;
}

async function readInProcess({ reader, report }: Bench, judge: Judge): Promise<void> {
  const { found, notes, wasRebuilt } = await reader.read([...judge.keys()]);
  for (const { key, value } of found) judge.accept({ at: "audit", key, value });
  if (wasRebuilt) report.rebuilt++;
  if (notes.has("torn tail")) report.tornTails++;
}

async function readByProcess({ run, report }: Bench, judge: Judge): Promise<void> {
  const node = await run.start();
  try {
    await auditKeys({ port: node.port, judge, random: run.random });
  } finally {
    await node.kill();
  }
  run.verify();
  report.byProcess++;
}

/**
 * One recording and the images of this tier.
 * @throws when one image is bad; the traces and that image, as nobody has opened it yet, are kept then.
 */
export function runPowerReplay(): Promise<ReplayReport> {
  return withFaultRun("power-replay", async (run) => {
    const recording = await recordPowerRun(run);
    const report = await replayPowerCuts({ run, recording, images: imageCount() });
    console.log(`power-replay: ${JSON.stringify({ ...report, breaches: report.breaches.length })}`);
    if (report.breaches.length === 0) return report;
    throw new Error(`Of ${report.images} images these are bad:\n${report.breaches.join("\n")}`);
  });
}
