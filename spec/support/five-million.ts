import fs from "node:fs";
import { cpuUs } from "../../cli/bench/proc.ts";
import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { GiB, minute, second } from "../../runtime/base/units.ts";
import { describeHeldLoop, type HeldLoop, heldLoop } from "./held-loop.ts";
import { type ProbeReport, startProbe } from "./latency-probe.ts";
import { inMiB, memoryOf } from "./memory-watch.ts";
import { readMillions, writeMillions } from "./million-blobs.ts";
import { readMetrics } from "./node-metrics.ts";
import { makeTemporaryFolder, type NodeProcess, startNode } from "./node-process.ts";
import { startTimed } from "./timed-start.ts";
import { median } from "./trend.ts";

/** A node with so many artifacts. */
export type CountFigures = {
  readonly artifacts: number;
  /** The least of several starts: what a start costs when nobody disturbs it. */
  readonly readyMs: number;
  /** Resident when ready: the middle of those starts. */
  readonly readyBytes: number;
  readonly coldUsPerGet: number;
  readonly readingBytes: number;
};

export type EvictionFigures = {
  readonly rows: number;
  readonly rowsPerSecond: number;
  readonly probe: ProbeReport;
  readonly held: readonly HeldLoop[];
};

export type MillionsReport = {
  readonly few: CountFigures;
  readonly many: CountFigures;
  readonly eviction: EvictionFigures;
};

export type MillionsOptions = {
  readonly few: number;
  readonly many: number;
  readonly seed: number;
  /** Of what is stored, the capacity under which the node must come at the end. */
  readonly keptShare: number;
};

const starts = 5;
const coldReads = 100_000;
const warmReads = 40_000;
const warmKeys = 64;
const roomyBytes = 64 * GiB;
const evictionMsMax = 30 * minute;
const lookMs = 100;
/** No row has gone for so long: the node has come under its capacity. */
const doneMs = 5 * second;
export const millionsProbe = "/up";

/** Fills one data directory up to two counts and measures a node on it at each; then gives it too little room. */
export async function measureMillions(options: MillionsOptions): Promise<MillionsReport> {
  const { few, many, seed, keptShare } = options;
  const dataDir = makeTemporaryFolder("millions");
  const random = seededRandom(seed);
  try {
    await fill(dataDir, 0, few);
    const fewFigures = await measure(dataDir, few, random);
    await fill(dataDir, few, many);
    const manyFigures = await measure(dataDir, many, random);
    const eviction = await evict(dataDir, keptShare);
    return { few: fewFigures, many: manyFigures, eviction };
  } finally {
    fs.rmSync(dataDir, { recursive: true, force: true });
  }
}

export function describeMillions({ few, many, eviction }: MillionsReport): string {
  const lines = [few, many].map(
    (one) =>
      `${one.artifacts} artifacts: ready ${Math.round(one.readyMs)} ms, RSS ` +
      `${inMiB(one.readyBytes)} MiB, ${inMiB(one.readingBytes)} MiB reading, ` +
      `${one.coldUsPerGet.toFixed(1)} us a cold GET`,
  );
  const net = eviction.probe[millionsProbe]?.net;
  return [
    ...lines,
    `evicted ${eviction.rows} at ${Math.round(eviction.rowsPerSecond)} rows/s; ms of /up meanwhile: ` +
      `p99 ${net?.p99Ms.toFixed(1)}, p99.9 ${net?.p999Ms.toFixed(1)}, max ${net?.maxMs.toFixed(1)} ` +
      `of ${net?.count}`,
    describeHeldLoop(eviction.held),
  ].join("\n");
}

function environment(capacityBytes: number): Record<string, string> {
  return { KURA_CAS_CAPACITY_BYTES: String(capacityBytes) };
}

async function fill(dataDir: string, first: number, end: number): Promise<void> {
  await using node = await startNode({ dataDir, env: environment(roomyBytes) });
  const startMs = performance.now();
  await writeMillions(node.grpcPort, first, end);
  const seconds = (performance.now() - startMs) / second;
  console.log(`${end - first} artifacts written in ${seconds.toFixed(0)} s`);
  await node.stop();
}

async function measure(dataDir: string, artifacts: number, random: Random): Promise<CountFigures> {
  const readyMs: number[] = [];
  const readyBytes: number[] = [];
  for (let i = 1; i < starts; i++) {
    const timed = await startTimed({ dataDir, env: environment(roomyBytes) });
    await using node = timed.node;
    readyMs.push(timed.readyMs);
    readyBytes.push(memoryOf(node.pid));
    await node.stop();
  }
  const timed = await startTimed({ dataDir, env: environment(roomyBytes) });
  await using node = timed.node;
  readyMs.push(timed.readyMs);
  readyBytes.push(memoryOf(node.pid));
  const coldUsPerGet = await coldReadCost(node, artifacts, random);
  const readingBytes = memoryOf(node.pid);
  await node.stop();
  const figures = { readyMs: Math.min(...readyMs), readyBytes: median(readyBytes) };
  return { artifacts, ...figures, coldUsPerGet, readingBytes };
}

/** CPU time of one read of what no cache knows, in microseconds: user and system, all threads. */
async function coldReadCost(node: NodeProcess, artifacts: number, random: Random): Promise<number> {
  // Not counted: the first reads of a process compile its hot paths.
  await readAll(
    node,
    Array.from({ length: warmReads }, (_, i) => i % warmKeys),
  );
  const numbers = Array.from({ length: coldReads }, () => random.below(artifacts));
  const beforeUs = cpuUs([node.pid]) ?? 0;
  await readAll(node, numbers);
  return ((cpuUs([node.pid]) ?? 0) - beforeUs) / numbers.length;
}

async function readAll(node: NodeProcess, numbers: readonly number[]): Promise<void> {
  const share = await readMillions(node.port, numbers);
  if (share < 1) throw new Error(`${100 * (1 - share)} % of what was written is not there`);
}

/** Starts the node with room for a part of what it has, and watches it make that room. */
async function evict(dataDir: string, keptShare: number): Promise<EvictionFigures> {
  const capacityBytes = Math.floor(keptShare * bytesIn(`${dataDir}/segments`));
  await using node = await startNode({ dataDir, env: environment(capacityBytes) });
  await using probe = startProbe(node, { paths: [millionsProbe], pauseMs: 1 });
  probe.goOn();
  const startMs = performance.now();
  let [rows, lastMs] = [0, startMs];
  while (performance.now() - lastMs < doneMs && performance.now() - startMs < evictionMsMax) {
    // A write now and then: what makes room may wait until somebody needs it.
    await fetch(`${node.url}/v1/cache/more${Math.round(performance.now())}`, {
      method: "PUT",
      body: "more",
    });
    const nowRows = (await readMetrics(node.url)).sum("kura_store_evicted_artifacts_total");
    if (nowRows > rows) lastMs = performance.now();
    rows = nowRows;
    await Bun.sleep(lookMs);
  }
  const report = await probe.cut();
  const held = heldLoop(await readMetrics(node.url));
  await node.stop();
  return { rows, rowsPerSecond: (rows * second) / (lastMs - startMs), probe: report, held };
}

function bytesIn(folder: string): number {
  return fs
    .readdirSync(folder)
    .reduce((sum, name) => sum + fs.statSync(`${folder}/${name}`).size, 0);
}
