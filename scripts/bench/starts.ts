import fs from "node:fs";
import path from "node:path";
import { systemClock } from "../../runtime/base/clock.ts";
import { second } from "../../runtime/base/units.ts";
import { fill, fillPath } from "../../spec/support/load.ts";
import {
  accepts,
  type NodeProcess,
  projectFolder,
  spawnNode,
  startNode,
} from "../../spec/support/node-process.ts";
import { type Figure, figure } from "./machine.ts";

const startMsMax = 60 * second;
/** Keys that are read back after each restart; evenly spread over all of them. */
const sampleCount = 200;
/** Written while the node is killed half-way, so that there is something to replay. */
const roundArtifacts = 2_000;
const fillConnections = 64;

/** Milliseconds from the start of the process to the first accepted connection, each time on an empty directory. */
export async function measureListening(binary: string, rounds: number): Promise<Figure> {
  const times: number[] = [];
  // The first start reads the binary from the disk: it belongs to the machine, not to Kura.
  for (let round = 0; round <= rounds; round++) {
    const startMs = systemClock.monotonicMs();
    await using node = await spawnNode({ binary });
    await pollUntilTrue(node, () => accepts(node.port));
    if (round > 0) times.push(systemClock.monotonicMs() - startMs);
  }
  return figure(times);
}

/** Milliseconds that `kura --version` takes, start to end of the process. */
export async function measureVersion(binary: string, rounds: number): Promise<Figure> {
  const times: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const startMs = systemClock.monotonicMs();
    const child = Bun.spawn([path.resolve(projectFolder, binary), "--version"], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    const code = await child.exited;
    const passedMs = systemClock.monotonicMs() - startMs;
    if (code !== 0) throw new Error(`${binary} --version ended with ${code}`);
    if (round > 0) times.push(passedMs);
  }
  return figure(times);
}

export type ReadyResult = {
  readonly readyMs: Figure;
  readonly artifacts: number;
  /** Writes that were answered and are gone; anything but 0 is a fault, however fast the start. */
  readonly missing: number;
};

/**
 * Fills a node through HTTP, then kills it with SIGKILL amid writes, starts it again and measures until `/ready` is
 * 200; several times, with a sample of what was acknowledged read back each time.
 */
export async function measureReady(options: {
  binary: string;
  artifacts: number;
  bodyBytes: number;
  rounds: number;
}): Promise<ReadyResult> {
  await using first = await startNode({ binary: options.binary });
  const shape = { bodyBytes: options.bodyBytes, connections: fillConnections };
  const filled = await fill({ port: first.port, first: 1, count: options.artifacts, ...shape });
  const acknowledged = filled.acknowledged;
  const times: number[] = [];
  let missing = 0;
  let node: NodeProcess = first;
  try {
    for (let round = 1; round <= options.rounds; round++) {
      const begin = options.artifacts + round * roundArtifacts;
      const load = fill({ port: node.port, first: begin, count: roundArtifacts, ...shape });
      await killWhenStored(node, begin + roundArtifacts / 2);
      acknowledged.push(...(await load).acknowledged);

      const startMs = systemClock.monotonicMs();
      const next = await spawnNode({ binary: options.binary, dataDir: first.dataDir });
      node = next;
      await pollUntilTrue(next, () => isReady(next));
      times.push(systemClock.monotonicMs() - startMs);
      missing += await countMissing(next, acknowledged);
    }
  } finally {
    await node.kill();
  }
  return { readyMs: figure(times), artifacts: acknowledged.length, missing };
}

async function killWhenStored(node: NodeProcess, index: number): Promise<void> {
  await pollUntilTrue(node, async () => {
    const answer = await fetch(node.url + fillPath(index));
    await answer.arrayBuffer();
    return answer.status === 200;
  });
  await node.kill();
}

async function countMissing(node: NodeProcess, acknowledged: readonly number[]): Promise<number> {
  let missing = 0;
  for (let i = 0; i < sampleCount; i++) {
    const index = acknowledged[Math.floor((i * acknowledged.length) / sampleCount)];
    if (index === undefined)
      throw new Error("Nothing was acknowledged: there is nothing to read back");
    const answer = await fetch(node.url + fillPath(index));
    const body = Buffer.from(await answer.arrayBuffer());
    if (answer.status !== 200 || !body.toString("latin1").startsWith(`${index}.`)) missing += 1;
  }
  return missing;
}

async function isReady(node: NodeProcess): Promise<boolean> {
  if (!(await accepts(node.port))) return false;
  const answer = await fetch(`${node.url}/ready`);
  await answer.arrayBuffer();
  return answer.status === 200;
}

/** Asks every millisecond: a finer step takes time from the start that it watches. */
async function pollUntilTrue(node: NodeProcess, ask: () => Promise<boolean>): Promise<void> {
  const startMs = systemClock.monotonicMs();
  let isEnded = false;
  node.exited.then(() => {
    isEnded = true;
  });
  while (!(await ask())) {
    const passedMs = systemClock.monotonicMs() - startMs;
    if (isEnded || passedMs > startMsMax) {
      throw new Error(`The node did not start within ${startMsMax} ms\n${node.stderr()}`);
    }
    await Bun.sleep(1);
  }
}

/** The binary to measure. @throws Error when it is not built. */
export function requireBinary(binary: string): string {
  if (fs.existsSync(path.resolve(projectFolder, binary))) return binary;
  throw new Error(`Cannot measure ${binary}: it is not there; \`npm run build\` makes dist/kura`);
}
