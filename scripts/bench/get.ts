import fs from "node:fs";
import path from "node:path";
import { rounded } from "../../cli/bench/figures.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import { fill, fillBody, fillPath } from "../../spec/support/load.ts";
import { startNode } from "../../spec/support/node-process.ts";
import { type Disturbance, watchMachine } from "./machine.ts";
import { type Nginx, startNginx } from "./nginx.ts";
import { pinServer } from "./pin.ts";
import { figuresOf, runSide, type Side, type SideFigures } from "./side.ts";
import type { Load } from "./wrk.ts";

/**
 * Connections are those under which the prototype was measured (2026-11-22), so that figures compare. Counts are such
 * that the first run, which is not counted, is behind JavaScriptCore's compilers: with 2,000 requests of 1 MiB a fifth
 * to a third of the CPU time of every run was theirs.
 */
export const readSizes: readonly ReadSize[] = [
  { bodyBytes: 1 * KiB, connections: 64, keys: 1_000, requests: 60_000 },
  { bodyBytes: 64 * KiB, connections: 64, keys: 200, requests: 20_000 },
  { bodyBytes: 1 * MiB, connections: 32, keys: 16, requests: 10_000 },
  { bodyBytes: 64 * MiB, connections: 8, keys: 2, requests: 400 },
];

export type ReadSize = {
  readonly bodyBytes: number;
  readonly connections: number;
  /** Different artifacts, asked in turn. */
  readonly keys: number;
  readonly requests: number;
};

export type GetResult = Disturbance & {
  readonly size: ReadSize;
  readonly kura: SideFigures;
  readonly nginx: SideFigures;
  /** CPU per request: median of Kura over median of nginx. */
  readonly ratio: number;
};

/** CPU time of the server per GET of a stored artifact against nginx with sendfile and open file cache, in turns. */
export async function measureGet(options: {
  binary: string;
  size: ReadSize;
  rounds: number;
}): Promise<GetResult> {
  const { size } = options;
  await using node = await startNode({ binary: options.binary, launcher: pinServer() });
  await using nginx = await startNginx();
  const { keys, bodyBytes } = size;
  await fill({ port: node.port, first: 0, count: keys, bodyBytes, connections: 2 });
  writeFilesForNginx(nginx, size);
  const kura: Side = { port: node.port, pids: [node.pid], runs: [] };
  const peer: Side = { port: nginx.port, pids: nginx.workerPids, runs: [] };
  const load: Omit<Load, "port"> = {
    folder: nginx.folder,
    connections: size.connections,
    requests: size.requests,
    ask: { method: "GET", first: 0, keys },
  };
  // The first run fills the caches of both; Kura checks a body whole before it first sends it.
  await runSide(kura, load, false);
  await runSide(peer, load, false);

  const machine = watchMachine();
  for (let round = 1; round <= options.rounds; round++) {
    await runSide(kura, load, true);
    await runSide(peer, load, true);
  }
  const [kuraFigures, nginxFigures] = [figuresOf(kura), figuresOf(peer)];
  const ratio = kuraFigures.cpuUsPerAnswer.median / nginxFigures.cpuUsPerAnswer.median;
  return {
    size,
    kura: kuraFigures,
    nginx: nginxFigures,
    ratio: rounded(ratio),
    ...machine(),
  };
}

function writeFilesForNginx(nginx: Nginx, { keys, bodyBytes }: ReadSize): void {
  for (let key = 0; key < keys; key++) {
    const file = path.join(nginx.root, fillPath(key));
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, fillBody(key, bodyBytes));
  }
}
