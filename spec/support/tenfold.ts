import { KiB, MiB, minute } from "../../runtime/base/units.ts";
import { describeHeldLoop, type HeldLoop, heldLoop } from "./held-loop.ts";
import { type LatencyProbe, type ProbeReport, startProbe } from "./latency-probe.ts";
import { inMiB } from "./memory-watch.ts";
import { readMetrics } from "./node-metrics.ts";
import { type NodeProcess, startNode } from "./node-process.ts";
import { mostOf, type NodeWatch, quickSamples, watchNode } from "./node-watch.ts";
import { type ReadWish, TenfoldLoad, type TenfoldTotals } from "./tenfold-load.ts";

export type TenfoldOptions = {
  readonly capacityBytes: number;
  readonly seed: number;
  /** Stretches of each node, by turns. */
  readonly rounds: number;
  /** Written to the full node in a stretch, and to the calm one. */
  readonly fullBytes: number;
  readonly calmBytes: number;
  /** Results that the full node must have served in all. */
  readonly served: number;
  readonly wish: ReadWish;
};

/** One node's stretches together. */
export type SideFigures = {
  readonly writtenBytes: number;
  readonly wallMs: number;
  readonly cpuUs: number;
  readonly bytesPerSecond: number;
  readonly cpuUsPerMiB: number;
  readonly probes: readonly ProbeReport[];
};

export type TenfoldReport = {
  readonly capacityBytes: number;
  readonly full: SideFigures;
  readonly calm: SideFigures;
  readonly totals: TenfoldTotals;
  readonly calmTotals: TenfoldTotals;
  readonly disk: {
    readonly dataBytesMax: number;
    readonly dataBlockBytesMax: number;
    readonly unlinkedBytesMax: number;
    readonly indexBytesMax: number;
    readonly walBytesMax: number;
    readonly otherBytesMax: number;
    readonly segmentBytesMax: number;
    readonly looks: number;
  };
  readonly evictedBytes: number;
  readonly evictedArtifacts: number;
  readonly movedBytes: number;
  readonly spaceWaits: number;
  readonly leases: number;
  readonly leaseBytes: number;
  readonly leasesShortened: number;
  readonly vouched: number;
  readonly lost: number;
  readonly largeFilesMax: number;
  readonly held: readonly HeldLoop[];
};

const writers = 32;
const readers = 8;
const bytesPerResult = 176 * KiB;
const lookPeriodMs = 50;
const probePauseMs = 2;
/** What was vouched for longer ago may go. @source design.md 2: at least 15 minutes. */
const leaseMsMin = 14 * minute;
export const probePaths = { up: "/up", artifact: "/v1/cache/probe" } as const;

/** A node with its load, its probe and the eye on it. */
type Side = {
  readonly node: NodeProcess;
  readonly load: TenfoldLoad;
  readonly probe: LatencyProbe;
  readonly watch: NodeWatch;
  readonly probes: ProbeReport[];
  writtenBytes: number;
  wallMs: number;
};

/**
 * Writes ten times its capacity to a node, and by turns to one that has room for everything: the same load on the same
 * machine at the same time.
 * @throws when an answer is wrong in its bytes.
 */
export async function runTenfold(options: TenfoldOptions): Promise<TenfoldReport> {
  const { capacityBytes, seed, rounds, fullBytes, calmBytes } = options;
  const roomBytes = 4 * (rounds + 1) * calmBytes + capacityBytes;
  await using fullNode = await startNode({ env: environment(capacityBytes) });
  await using calmNode = await startNode({ env: environment(roomBytes) });
  await using fullWatch = await watchNode({ node: fullNode, periodMs: lookPeriodMs });
  await using calmWatch = await watchNode({ node: calmNode, periodMs: 10 * lookPeriodMs });
  await using fullProbe = await openProbe(fullNode);
  await using calmProbe = await openProbe(calmNode);
  const shape = { seed, wish: options.wish };
  const full = makeSide(fullNode, { ...shape, watch: fullWatch, probe: fullProbe });
  const calm = makeSide(calmNode, { ...shape, watch: calmWatch, probe: calmProbe });
  try {
    // Not measured: one is filled, the other compiles its hot paths.
    await full.load.run({ bytes: capacityBytes });
    await calm.load.run({ bytes: calmBytes / 2 });
    const before = { full: (await full.watch.now()).cpuUs, calm: (await calm.watch.now()).cpuUs };
    for (let round = 0; round < rounds; round++) {
      await stretch(full, fullBytes);
      await stretch(calm, calmBytes);
    }
    const fullFigures = await figuresOf(full, before.full);
    const calmFigures = await figuresOf(calm, before.calm);
    // The readers may have had fewer hits than they were allowed reads.
    await full.load.run({ bytes: 0, served: options.served - full.load.totals.served });
    return await report({ full, calm, fullFigures, calmFigures });
  } finally {
    full.load.close();
    calm.load.close();
  }
}

export function describeTenfold(report: TenfoldReport): string {
  const { full, calm, totals, disk } = report;
  const lines = [
    `full ${describeSide(full)}`,
    `calm ${describeSide(calm)}`,
    `share of calm: wall ${ratio(full.bytesPerSecond, calm.bytesPerSecond)}, ` +
      `CPU ${ratio(calm.cpuUsPerMiB, full.cpuUsPerMiB)}`,
    `${totals.writes} writes, ${inMiB(totals.writtenBytes)} MiB; refused ${describeRefusals(totals)}; ` +
      `${totals.served} results served, ${totals.missed} missed, ${totals.absent.length} absent blobs; ` +
      `${totals.reads} other reads`,
    `disk at most ${inMiB(disk.dataBytesMax)} of ${inMiB(report.capacityBytes)} MiB (${inMiB(disk.dataBlockBytesMax)} in blocks, ` +
      `${inMiB(disk.unlinkedBytesMax)} unlinked), index ${inMiB(disk.indexBytesMax)}, ` +
      `log ${inMiB(disk.walBytesMax)}, other ${inMiB(disk.otherBytesMax)}, ` +
      `segment ${inMiB(disk.segmentBytesMax)} MiB, ${report.largeFilesMax} large; ${disk.looks} looks`,
    `evicted ${report.evictedArtifacts} (${inMiB(report.evictedBytes)} MiB), ` +
      `moved ${inMiB(report.movedBytes)} MiB, ${report.spaceWaits} waits for space; ` +
      `${report.leases} leases (${inMiB(report.leaseBytes)} MiB), ${report.leasesShortened} shortened; ` +
      `${report.vouched} vouched for, ${report.lost} of them lost`,
    describeHeldLoop(report.held),
  ];
  return lines.join("\n");
}

/** The worst of all stretches, for a path and a measure. */
export function worst(
  side: SideFigures,
  path: string,
  of: (report: NonNullable<ProbeReport[string]>) => number,
): number {
  return Math.max(...side.probes.map((probe) => (probe[path] === undefined ? 0 : of(probe[path]))));
}

/** The middle of all stretches. */
export function middle(
  side: SideFigures,
  path: string,
  of: (report: NonNullable<ProbeReport[string]>) => number,
): number {
  const values = side.probes.map((probe) => (probe[path] === undefined ? 0 : of(probe[path])));
  values.sort((a, b) => a - b);
  return values[Math.floor(values.length / 2)] ?? 0;
}

function environment(capacityBytes: number): Record<string, string> {
  return { KURA_CAS_CAPACITY_BYTES: String(capacityBytes) };
}

/** It must not go while the probe asks for it all the time. */
async function putProbe(node: NodeProcess): Promise<void> {
  const put = await fetch(node.url + probePaths.artifact, { method: "PUT", body: "probe" });
  if (!put.ok && put.status !== 409) {
    throw new Error(`The artifact of the probe was answered ${put.status}`);
  }
}

async function openProbe(node: NodeProcess): Promise<LatencyProbe> {
  await putProbe(node);
  return startProbe(node, { paths: Object.values(probePaths), pauseMs: probePauseMs });
}

type SideParts = Pick<Side, "watch" | "probe"> & Pick<TenfoldOptions, "seed" | "wish">;

function makeSide(node: NodeProcess, { watch, probe, seed, wish }: SideParts): Side {
  const load = new TenfoldLoad({ node, seed, wish, writers, readers, bytesPerResult });
  return { node, load, probe, watch, probes: [], writtenBytes: 0, wallMs: 0 };
}

async function stretch(side: Side, bytes: number): Promise<void> {
  const { load, probe } = side;
  const beforeBytes = load.totals.writtenBytes;
  // Nobody read it while the other side had its turn, so it may have gone.
  await putProbe(side.node);
  const startMs = performance.now();
  probe.goOn();
  await load.run({ bytes });
  side.wallMs += performance.now() - startMs;
  side.writtenBytes += load.totals.writtenBytes - beforeBytes;
  probe.pause();
  side.probes.push(await probe.cut());
}

/** CPU counts from the first stretch to now: what a node puts off until the other has its turn is its own. */
async function figuresOf(side: Side, beforeUs: number): Promise<SideFigures> {
  const { writtenBytes, wallMs, probes } = side;
  const cpuUs = (await side.watch.now()).cpuUs - beforeUs;
  return {
    writtenBytes,
    wallMs,
    cpuUs,
    bytesPerSecond: (writtenBytes * 1_000) / wallMs,
    cpuUsPerMiB: (cpuUs * MiB) / writtenBytes,
    probes,
  };
}

async function report(run: {
  full: Side;
  calm: Side;
  fullFigures: SideFigures;
  calmFigures: SideFigures;
}): Promise<TenfoldReport> {
  const { full, calm } = run;
  const { samples } = full.watch;
  const { vouched, lost } = await full.load.lostSince(performance.now() - leaseMsMin);
  const metrics = await readMetrics(full.node.url);
  return {
    capacityBytes: metrics.of("kura_store_capacity_bytes"),
    full: run.fullFigures,
    calm: run.calmFigures,
    totals: full.load.totals,
    calmTotals: calm.load.totals,
    disk: {
      dataBytesMax: mostOf(samples, ({ disk }) => disk.dataBytes + disk.unlinkedBytes),
      dataBlockBytesMax: mostOf(samples, ({ disk }) => disk.dataBlockBytes),
      unlinkedBytesMax: mostOf(samples, ({ disk }) => disk.unlinkedBytes),
      indexBytesMax: mostOf(samples, ({ disk }) => disk.indexBytes),
      walBytesMax: mostOf(samples, ({ disk }) => disk.walBytes),
      otherBytesMax: mostOf(samples, ({ disk }) => disk.otherBytes + disk.partBytes),
      segmentBytesMax: mostOf(samples, ({ disk }) => disk.segmentBytesMax),
      looks: quickSamples(samples).length,
    },
    evictedBytes: metrics.sum("kura_store_evicted_bytes_total"),
    evictedArtifacts: metrics.sum("kura_store_evicted_artifacts_total"),
    movedBytes: metrics.sum("kura_store_moved_bytes_total"),
    spaceWaits: metrics.sum("kura_store_space_waits_total"),
    leases: metrics.sum("kura_leases"),
    leaseBytes: metrics.sum("kura_lease_bytes"),
    leasesShortened: metrics.sum("kura_leases_shortened_total"),
    vouched,
    lost,
    largeFilesMax: mostOf(samples, ({ disk }) => disk.largeCount),
    held: heldLoop(metrics),
  };
}

function describeSide(side: SideFigures): string {
  const { up, artifact } = probePaths;
  const ms = (value: number): string => value.toFixed(1);
  const net = (path: string): string =>
    `p50 ${ms(middle(side, path, (each) => each.net.p50Ms))} p99 ` +
    `${ms(middle(side, path, (each) => each.net.p99Ms))} p99.9 ` +
    `${ms(middle(side, path, (each) => each.net.p999Ms))} max ` +
    `${ms(worst(side, path, (each) => each.net.maxMs))} (raw p99 ` +
    `${ms(middle(side, path, (each) => each.raw.p99Ms))} max ` +
    `${ms(worst(side, path, (each) => each.raw.maxMs))})`;
  return (
    `${inMiB(side.writtenBytes)} MiB in ${Math.round(side.wallMs)} ms: ` +
    `${inMiB(side.bytesPerSecond)} MiB/s, ${Math.round(side.cpuUsPerMiB)} us CPU a MiB; ` +
    `ms of /up: ${net(up)}; ms of an artifact: ${net(artifact)}`
  );
}

function describeRefusals({ refusals }: TenfoldTotals): string {
  if (refusals.size === 0) return "none";
  return [...refusals].map(([what, count]) => `${count} x ${what}`).join(", ");
}

function ratio(a: number, b: number): string {
  return (a / b).toFixed(2);
}
