import fs from "node:fs";
import path from "node:path";
import { cpuUs } from "../../cli/bench/proc.ts";
import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { GiB, KiB, minute } from "../../runtime/base/units.ts";
import { fill, fillBody, fillPath } from "./load.ts";
import { openLoadConnection } from "./load-client.ts";
import { inMiB, watchMemory } from "./memory-watch.ts";
import { makeTemporaryFolder, type NodeProcess, startNode, until } from "./node-process.ts";
import { startTimed } from "./timed-start.ts";

export type ManyArtifactsReport = {
  readonly artifacts: number;
  /** From the start of the process to the first 200 of `/ready`, after kill -9 amid writes. */
  readonly readyMs: number;
  readonly readyBytes: number;
  /** The most while keys were read that no cache knew, and then the same few over and over. */
  readonly readingBytes: number;
  readonly indexBytesPerRow: number;
  readonly coldUsPerGet: number;
  readonly warmUsPerGet: number;
};

const bodyBytes = KiB;
const connections = 64;
/** One fill has a deadline of 5 minutes. */
const artifactsPerFill = 100_000;
/** Written while the node is killed half-way, so that there is something to replay. */
const lastArtifacts = 4_000;
const warmKeys = 64;
const readers = 16;
const readsMax = 100_000;
const killWaitMsMax = 1 * minute;

/**
 * Fills a node through its surface, kills it amid writes, and measures its next start, its reads and its index.
 * @throws when an acknowledged artifact that is looked at is missing or wrong.
 */
export async function measureManyArtifacts(
  artifacts: number,
  seed: number,
): Promise<ManyArtifactsReport> {
  const dataDir = makeTemporaryFolder("many");
  try {
    const acknowledged = await fillAndKill(dataDir, artifacts);
    const { node, readyMs } = await startTimed({ dataDir, env: capacity });
    await using _ = node;
    await using memory = watchMemory(node.pid);
    const readyBytes = memory.beforeBytes;
    const random = seededRandom(seed);
    const { cold, warm } = drawKeys(acknowledged, random);
    // Not counted: JavaScriptCore compiles while the first 30,000 reads or so go by.
    await readAll(node.port, warm);
    const coldUsPerGet = await cpuPerGet(node, cold);
    const warmUsPerGet = await cpuPerGet(node, warm);
    const readingBytes = memory.maxBytes();
    await node.stop();
    // With the node the write-ahead log is gone: all rows are in the file.
    const indexBytes = fs.statSync(path.join(dataDir, "kura.db")).size;
    const indexBytesPerRow = indexBytes / acknowledged.length;
    const figures = { readyMs, readyBytes, readingBytes, indexBytesPerRow };
    return { artifacts: acknowledged.length, ...figures, coldUsPerGet, warmUsPerGet };
  } finally {
    fs.rmSync(dataDir, { recursive: true, force: true });
  }
}

export function describeMany(report: ManyArtifactsReport): string {
  const { artifacts, readyMs, readyBytes, readingBytes, coldUsPerGet, warmUsPerGet } = report;
  const [cold, warm] = [coldUsPerGet.toFixed(1), warmUsPerGet.toFixed(1)];
  return (
    `${artifacts} artifacts: ready ${Math.round(readyMs)} ms, RSS ${inMiB(readyBytes)} MiB, ` +
    `${inMiB(readingBytes)} MiB reading; ${report.indexBytesPerRow.toFixed(1)} bytes a row; ` +
    `GET ${cold} us cold, ${warm} us warm, ratio ${(coldUsPerGet / warmUsPerGet).toFixed(2)}`
  );
}

const capacity = { KURA_CAS_CAPACITY_BYTES: String(16 * GiB) };

/** Numbers of the artifacts that were acknowledged before the end. */
async function fillAndKill(dataDir: string, artifacts: number): Promise<number[]> {
  await using node = await startNode({ dataDir, env: capacity });
  const shape = { port: node.port, bodyBytes, connections };
  const acknowledged: number[] = [];
  for (let first = 0; first < artifacts; first += artifactsPerFill) {
    const count = Math.min(artifactsPerFill, artifacts - first);
    const filled = await fill({ ...shape, first, count });
    for (const number of filled.acknowledged) acknowledged.push(number);
  }
  const load = fill({ ...shape, first: artifacts, count: lastArtifacts });
  await until(
    "half of the last writes",
    () => isThere(node, artifacts + lastArtifacts / 2),
    killWaitMsMax,
  );
  await node.kill();
  const last = await load;
  if (!last.isCut) throw new Error("The node was killed too late: no write was under way");
  acknowledged.push(...last.acknowledged);
  return acknowledged;
}

async function isThere(node: NodeProcess, index: number): Promise<boolean> {
  const answer = await fetch(node.url + fillPath(index));
  await answer.arrayBuffer();
  return answer.status === 200;
}

/** As many reads of keys that no cache knows, each once and in no order, as of a few keys over and over. */
function drawKeys(
  acknowledged: readonly number[],
  random: Random,
): { cold: number[]; warm: number[] } {
  const keys = [...acknowledged];
  const count = Math.min(readsMax, keys.length);
  for (let i = 0; i < count; i++) {
    const other = i + random.below(keys.length - i);
    [keys[i], keys[other]] = [keys[other] ?? 0, keys[i] ?? 0];
  }
  const cold = keys.slice(warmKeys, count);
  return { cold, warm: cold.map((_, i) => keys[i % warmKeys] ?? 0) };
}

/** CPU time of the node for one read, user and system, all threads, in microseconds. */
async function cpuPerGet(node: NodeProcess, keys: readonly number[]): Promise<number> {
  const before = cpuUs([node.pid]) ?? 0;
  await readAll(node.port, keys);
  const after = cpuUs([node.pid]) ?? 0;
  return (after - before) / keys.length;
}

async function readAll(port: number, keys: readonly number[]): Promise<void> {
  let next = 0;
  const read = async (): Promise<void> => {
    const connection = openLoadConnection(port);
    for (let key = keys[next++]; key !== undefined; key = keys[next++]) {
      const found = await connection.exchange({ method: "GET", target: fillPath(key) });
      const isRight =
        found.at === "answered" &&
        found.status === 200 &&
        fillBody(key, bodyBytes).equals(found.body);
      if (!isRight) throw new Error(`Artifact ${key} is not what was written: ${tell(found)}`);
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: readers }, read));
}

function tell(
  found: Awaited<ReturnType<ReturnType<typeof openLoadConnection>["exchange"]>>,
): string {
  return found.at === "answered" ? `${found.status}, ${found.body.length} bytes` : found.reason;
}
