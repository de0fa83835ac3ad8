import fs from "node:fs";
import path from "node:path";
import { rounded } from "../../cli/bench/figures.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import { startNode } from "../../spec/support/node-process.ts";
import { type Disturbance, watchMachine } from "./machine.ts";
import { type Nginx, startNginx } from "./nginx.ts";
import { pinServer } from "./pin.ts";
import { figuresOf, runSide, type Side, type SideFigures } from "./side.ts";
import { readStoreCounters } from "./store-counters.ts";
import type { Load } from "./wrk.ts";

export type WriteSize = {
  readonly bodyBytes: number;
  readonly connections: number;
  readonly requests: number;
};

/**
 * As many connections as for reads, but 2 for 64 MiB: what is in flight at the end is cut and costs CPU without an
 * answer, so it has to be few of the 16 that a disk bears.
 */
export const writeSizes: readonly WriteSize[] = [
  { bodyBytes: 1 * KiB, connections: 64, requests: 30_000 },
  { bodyBytes: 64 * KiB, connections: 64, requests: 6_000 },
  { bodyBytes: 1 * MiB, connections: 32, requests: 800 },
  { bodyBytes: 64 * MiB, connections: 2, requests: 16 },
];

/** Where not told otherwise, as for the smallest size. */
const connectionsUsual = 64;

export type PutResult = Disturbance & {
  readonly bodyBytes: number;
  readonly requests: number;
  readonly connections: number;
  readonly kura: SideFigures;
  readonly nginx: SideFigures;
  /** CPU per request: median of Kura over median of nginx. */
  readonly ratio: number;
  /** Writes that shared one sync, over all counted runs. */
  readonly meanGroup: number;
};

/**
 * CPU time of the server per durable PUT against nginx WebDAV, which does not sync, in turns (A B A B ...) in the same
 * minutes on the same core. Each server first gets a run that is not counted.
 */
export async function measurePut(options: {
  binary: string;
  bodyBytes: number;
  requests: number;
  rounds: number;
  connections?: number;
}): Promise<PutResult> {
  await using node = await startNode({ binary: options.binary, launcher: pinServer() });
  await using nginx = await startNginx();
  const kura: Side = { port: node.port, pids: [node.pid], runs: [] };
  const peer: Side = { port: nginx.port, pids: nginx.workerPids, runs: [] };
  const { bodyBytes, requests, connections = connectionsUsual } = options;
  // Keys of a round do not meet those of another, also when requests go on a little past the count.
  const load = (round: number): Omit<Load, "port"> => ({
    folder: nginx.folder,
    connections,
    requests,
    ask: { method: "PUT", first: 2 * round * requests, bodyBytes },
  });
  await runSide(kura, load(0), false);
  await runSide(peer, load(0), false);

  const machine = watchMachine();
  const before = await readStoreCounters(node.url);
  for (let round = 1; round <= options.rounds; round++) {
    removeFilesOfNginx(nginx);
    await runSide(kura, load(round), true);
    await runSide(peer, load(round), true);
  }
  const after = await readStoreCounters(node.url);
  const [kuraFigures, nginxFigures] = [figuresOf(kura), figuresOf(peer)];
  const groups = after.groups - before.groups;
  return {
    bodyBytes,
    requests,
    connections,
    kura: kuraFigures,
    nginx: nginxFigures,
    ratio: rounded(kuraFigures.cpuUsPerAnswer.median / nginxFigures.cpuUsPerAnswer.median),
    meanGroup: rounded((after.commits - before.commits) / Math.max(1, groups)),
    ...machine(),
  };
}

/** All that it was sent so far: gigabytes, which nobody reads. */
function removeFilesOfNginx({ root }: Nginx): void {
  for (const name of fs.readdirSync(root)) {
    fs.rmSync(path.join(root, name), { recursive: true, force: true });
  }
}
