import fs from "node:fs";
import path from "node:path";
import { type Random, seededRandom, systemRandom } from "../../runtime/base/random.ts";
import { second } from "../../runtime/base/units.ts";
import { auditKeys, readKeys } from "./audit.ts";
import { openHistory } from "./history.ts";
import { createJudge, type Judge } from "./judge.ts";
import {
  makeTemporaryFolder,
  type NodeOptions,
  type NodeProcess,
  projectFolder,
  spawnNode,
} from "./node-process.ts";

/** A node that has to look at everything a long run wrote. */
const readyMsMax = 120 * second;
const seedBound = 2 ** 31;
const findingsShown = 10;

/** One spec with real processes: a data directory, a judge with its history, and the nodes that were started. */
export interface FaultRun {
  readonly seed: number;
  readonly random: Random;
  readonly judge: Judge;
  /** Holds the data directory, the history and whatever the spec puts there; kept when the spec fails. */
  readonly folder: string;
  readonly dataDir: string;
  /** Starts a node on the data directory without waiting for it. */
  spawn(options?: NodeOptions): Promise<NodeProcess>;
  /** The same, until it is ready. */
  start(options?: NodeOptions): Promise<NodeProcess>;
  /** Reads every key ever written and lets the judge compare. @throws when one answer is wrong. */
  audit(node: NodeProcess): Promise<{ readCount: number }>;
  /** Reads every key while calls may be open or of unknown outcome. @throws when a read fails or is wrong. */
  readAll(node: NodeProcess): Promise<void>;
  /** SIGKILL; tells the judge that what has no answer by now may or may not have happened. */
  crash(node: NodeProcess): Promise<void>;
  /** Runs `kura inspect verify` on the data directory of a stopped node. @throws unless it exits 0. */
  verify(): void;
  throwOnFindings(): void;
}

/** The seed of this run: `KURA_SPEC_SEED`, or one by chance. */
export function drawSeed(): number {
  const given = process.env.KURA_SPEC_SEED;
  return given === undefined ? systemRandom.below(seedBound) : Number(given);
}

/**
 * Runs `body` with a fresh data directory and ends the nodes it started.
 * @throws what went wrong, with the seed and the folder, which is kept; on success the folder is removed.
 */
export async function withFaultRun<Result>(
  purpose: string,
  body: (run: FaultRun) => Promise<Result>,
  seed = drawSeed(),
): Promise<Result> {
  console.log(`${purpose}: seed ${seed} (KURA_SPEC_SEED=${seed} repeats it)`);
  const folder = makeTemporaryFolder(purpose);
  const nodes: NodeProcess[] = [];
  const history = openHistory(path.join(folder, "history.jsonl"));
  try {
    const result = await body(makeRun({ seed, folder, nodes, judge: createJudge(history) }));
    await killAll(nodes);
    fs.rmSync(folder, { recursive: true, force: true });
    return result;
  } catch (error) {
    history.flush();
    await killAll(nodes);
    for (const [i, node] of nodes.entries()) {
      fs.writeFileSync(path.join(folder, `node-${i + 1}.log`), node.stdout() + node.stderr());
    }
    const said = error instanceof Error ? error.message : String(error);
    throw new Error(`${said}\n(seed ${seed}; everything is in ${folder})`, { cause: error });
  } finally {
    await killAll(nodes);
  }
}

type Parts = { seed: number; folder: string; nodes: NodeProcess[]; judge: Judge };

function makeRun({ seed, folder, nodes, judge }: Parts): FaultRun {
  const dataDir = path.join(folder, "data");
  const random = seededRandom(seed);
  const spawn = async (options: NodeOptions = {}): Promise<NodeProcess> => {
    const node = await spawnNode({ dataDir, ...options });
    nodes.push(node);
    return node;
  };
  const throwOnFindings = (): void => {
    const { findings, findingCount } = judge;
    if (findingCount === 0) return;
    const shown = findings.slice(0, findingsShown).map((finding) => JSON.stringify(finding));
    throw new Error(`The judge has ${findingCount} findings:\n${shown.join("\n")}`);
  };
  return {
    seed,
    random,
    judge,
    folder,
    dataDir,
    spawn,
    throwOnFindings,
    async start(options) {
      const node = await spawn(options);
      await node.ready(readyMsMax);
      return node;
    },
    async audit(node) {
      const read = await auditKeys({ port: node.port, judge, random });
      throwOnFindings();
      return read;
    },
    async readAll(node) {
      await readKeys(node.port, judge);
      throwOnFindings();
    },
    async crash(node) {
      await node.kill();
      judge.accept({ at: "crash" });
    },
    verify: () => verifyStore(dataDir),
  };
}

function verifyStore(dataDir: string): void {
  const binary = path.resolve(projectFolder, process.env.KURA_SPEC_BINARY ?? "dist/kura");
  const program = binary.endsWith(".ts") ? [process.execPath, binary] : [binary];
  const result = Bun.spawnSync([...program, "inspect", "verify", "--json"], {
    env: { PATH: process.env.PATH ?? "", KURA_DATA_DIR: dataDir },
    stdout: "pipe",
    stderr: "pipe",
  });
  if (result.exitCode === 0) return;
  const said = `${result.stdout.toString()}${result.stderr.toString()}`;
  throw new Error(`kura inspect verify ended with ${result.exitCode}: ${said}`);
}

async function killAll(nodes: NodeProcess[]): Promise<void> {
  await Promise.all(nodes.map((node) => node.kill()));
}
