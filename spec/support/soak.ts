import { MiB, second } from "../../runtime/base/units.ts";
import { NumberedBlobs, NumberedBodies } from "./action-blobs.ts";
import { ActionClient } from "./action-client.ts";
import type { FaultRun } from "./fault-run.ts";
import { GrpcCaller } from "./grpc-caller.ts";
import { callsInFlight } from "./h2-client.ts";
import { inMiB } from "./memory-watch.ts";
import { readMetrics } from "./node-metrics.ts";
import type { NodeProcess } from "./node-process.ts";
import { mostOf, type NodeWatch, type TimedSample, watchNode } from "./node-watch.ts";
import { SoakCounts, type SoakStage } from "./soak-actor.ts";
import { soakArtifacts } from "./soak-artifacts.ts";
import {
  soakActions,
  soakBrokenWrites,
  soakEntries,
  soakModules,
  soakSlowClients,
} from "./soak-others.ts";
import { median, type Trend, trendOf, windowsOf } from "./trend.ts";

export type SoakOptions = {
  readonly capacityBytes: number;
  /** The first stretch, at whose end the memory is what later stretches are compared with. */
  readonly settleMs: number;
  /** After it, in six windows. */
  readonly loadMs: number;
  /** From the end of the load to the last look. */
  readonly quietMs: number;
};

export type SoakReport = {
  readonly counts: SoakCounts;
  readonly base: TimedSample;
  readonly firstBytes: number;
  readonly windowsBytes: readonly number[];
  readonly trend: Trend;
  readonly quietBytes: number;
  readonly last: TimedSample;
  readonly dataBytesMax: number;
  readonly evicted: number;
  /** What should be gone when nobody asks for anything, and is not; and books that do not balance. */
  readonly leftovers: readonly string[];
};

const windowCount = 6;
const lookPeriodMs = 250;
const lanes = { artifacts: 8, actions: 3, entries: 2, slow: 4 };
/** The last part of a stretch, whose middle stands for its end. */
const endShare = 1 / 4;
/** A rise that a garbage collector could make. */
const riseBytesMin = 16 * MiB;
/** Uploads in parts that nobody completes must be gone before the last look. */
const abandonedMsMax = 5 * second;
const janitorMs = 1 * second;
const settlePollMs = 200;

/**
 * Loads a node in every way that clients have, and looks at what it holds while it goes on and when it has ended.
 * @throws when an answer is wrong, or a request is refused.
 */
export async function runSoak(run: FaultRun, options: SoakOptions): Promise<SoakReport> {
  const node = await run.start({
    env: {
      KURA_CAS_CAPACITY_BYTES: String(options.capacityBytes),
      KURA_MULTIPART_UPLOAD_TTL_MS: String(abandonedMsMax),
      KURA_MULTIPART_JANITOR_INTERVAL_MS: String(janitorMs),
    },
  });
  await using watch = await watchNode({ node, periodMs: lookPeriodMs });
  const base = await watch.now();
  const counts = new SoakCounts();
  const { settleMs, loadMs, quietMs } = options;
  await load(run, { node, counts, forMs: settleMs + loadMs });
  const loadedMs = (await watch.now()).atMs;
  const leftovers = await settle(node, watch, quietMs);
  const { samples } = watch;
  const fromMs = base.atMs + settleMs;
  const rss = ({ rssBytes }: TimedSample): number => rssBytes;
  const span = { fromMs, toMs: base.atMs + settleMs + loadMs, count: windowCount };
  const windowsBytes = windowsOf(samples, span, rss);
  const report: SoakReport = {
    counts,
    base,
    firstBytes: middleBetween(samples, fromMs - endShare * settleMs, fromMs),
    windowsBytes,
    trend: trendOf(windowsBytes, riseBytesMin),
    quietBytes: middleBetween(samples, loadedMs + (1 - endShare) * quietMs, Number.MAX_VALUE),
    last: await watch.now(),
    dataBytesMax: mostOf(samples, ({ disk }) => disk.dataBytes + disk.unlinkedBytes),
    evicted: (await readMetrics(node.url)).sum("kura_store_evicted_artifacts_total"),
    leftovers,
  };
  const exitCode = await node.stop();
  if (exitCode !== 0) throw new Error(`The node ended with ${exitCode}\n${node.stderr()}`);
  run.verify();
  return report;
}

/** Descriptors without those of data files. */
export function otherDescriptors({ descriptors, dataDescriptors }: TimedSample): number {
  return descriptors - dataDescriptors;
}

export function describeSoak(report: SoakReport): string {
  const { counts, base, last, trend } = report;
  const windows = report.windowsBytes.map(inMiB).join(" ");
  return (
    `${counts.describe()}\nRSS ${inMiB(base.rssBytes)} MiB at the start, ${inMiB(report.firstBytes)} ` +
    `settled, windows ${windows} (score ${trend.score}, rise ${inMiB(trend.rise)}), ` +
    `${inMiB(report.quietBytes)} at the end; descriptors ${base.descriptors} (${base.dataDescriptors} of data), then ` +
    `${last.descriptors} (${last.dataDescriptors}); data at most ${inMiB(report.dataBytesMax)} MiB, ` +
    `${report.evicted} evicted`
  );
}

async function load(
  run: FaultRun,
  { node, counts, forMs }: { node: NodeProcess; counts: SoakCounts; forMs: number },
): Promise<void> {
  const { random, seed } = run;
  const caller = new GrpcCaller(node.grpcPort);
  const actions = new ActionClient(caller, new NumberedBlobs(seed), "soak");
  const endMs = performance.now() + forMs;
  let isFailed = false;
  const isOver = (): boolean => isFailed || performance.now() >= endMs;
  const bodies = new NumberedBodies(seed);
  const stage: SoakStage = { node, random, bodies, actions, counts, isOver };
  const work = [
    ...times(lanes.artifacts, (lane) => soakArtifacts(stage, lane)),
    ...times(lanes.actions, (lane) => soakActions(stage, lane)),
    ...times(lanes.entries, (lane) => soakEntries(stage, lane)),
    ...times(lanes.slow, (lane) => soakSlowClients(stage, lane)),
    soakModules(stage),
    soakBrokenWrites(stage),
  ];
  try {
    await Promise.all(work);
  } finally {
    // The others end soon, so that whatever they leave behind is not ours to explain.
    isFailed = true;
    await Promise.allSettled(work);
    caller.close();
  }
}

/** Waits as long as it was told to; what is not as it should be by then. */
async function settle(node: NodeProcess, watch: NodeWatch, quietMs: number): Promise<string[]> {
  const endMs = performance.now() + quietMs;
  for (;;) {
    const leftovers = await findLeftovers(node, watch);
    if (performance.now() >= endMs) return leftovers;
    await Bun.sleep(settlePollMs);
  }
}

/** What a node holds that nobody uses any more. */
async function findLeftovers(node: NodeProcess, watch: NodeWatch): Promise<string[]> {
  const before = (await watch.now()).disk;
  const metrics = await readMetrics(node.url);
  const { disk } = await watch.now();
  const zeros = [
    "kura_http_inflight_requests",
    "kura_upload_memory_used_bytes",
    "kura_upload_memory_waiting",
    "kura_multipart_uploads_active",
    "kura_multipart_part_bytes",
    "kura_store_writes_waiting",
    "kura_store_dead_bytes",
  ];
  const leftovers = zeros.flatMap((name) => {
    const value = metrics.sum(name);
    return value === 0 ? [] : [`${name} is ${value}`];
  });
  const calls = await callsInFlight(node.url);
  if (calls !== 0) leftovers.push(`${calls} calls are in flight`);
  const books: [string, number, number][] = [
    ["kura_store_used_bytes", disk.dataBytes, before.dataBytes],
    ["kura_store_segments", disk.segmentCount, before.segmentCount],
    ["kura_store_large_files", disk.largeCount, before.largeCount],
  ];
  for (const [name, found, foundBefore] of books) {
    const said = metrics.of(name);
    if (said !== found && said !== foundBefore) leftovers.push(`${name} is ${said}, not ${found}`);
  }
  if (disk.partBytes > 0) leftovers.push(`${disk.partBytes} bytes of parts are on disk`);
  if (disk.unlinkedBytes > 0) leftovers.push(`${disk.unlinkedBytes} bytes are unlinked and open`);
  return leftovers;
}

function middleBetween(samples: readonly TimedSample[], fromMs: number, toMs: number): number {
  const inside = samples.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
  return median(inside.map(({ rssBytes }) => rssBytes));
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
