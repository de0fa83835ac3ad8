import fs from "node:fs";
import path from "node:path";
import type { Random } from "../../runtime/base/random.ts";
import { KiB, second } from "../../runtime/base/units.ts";
import { findKeys } from "./audit.ts";
import { restoreFolder } from "./bit-flip.ts";
import { type FaultRun, withFaultRun } from "./fault-run.ts";
import { removeIndex } from "./index-files.ts";
import { startLoad } from "./load-driver.ts";
import { KeySpace } from "./load-keys.ts";
import { planBodies } from "./load-sizes.ts";
import { type NodeProcess, until } from "./node-process.ts";

/** A way to damage the index of a stopped node. */
export type IndexDamage = {
  readonly name: string;
  readonly apply: (target: { dataDir: string; older: string; random: Random }) => void;
  /** SQLite sums nothing up: a changed row that still looks like one is found only when its record is read. */
  readonly mayHideRows?: boolean;
};

const pageBytes = 4 * KiB;
const flipsPerDamage = 20;
const zeroedPages = 3;
const loadMs = 150;
const rebuildMsMax = 20 * second;
const writers = 8;
const cleanedNamespaceCount = 3;

export const indexDamages: readonly IndexDamage[] = [
  { name: "is deleted", apply: ({ dataDir }) => removeIndex(dataDir) },
  { name: "is an empty file", apply: ({ dataDir }) => cutIndex(dataDir, () => 0) },
  {
    name: "is cut at a page",
    apply: ({ dataDir, random }) =>
      cutIndex(dataDir, (size) => random.below(Math.ceil(size / pageBytes)) * pageBytes),
  },
  {
    name: "is cut inside a page",
    apply: ({ dataDir, random }) => cutIndex(dataDir, (size) => random.below(size)),
  },
  {
    name: "is cut in its last page",
    apply: ({ dataDir, random }) =>
      cutIndex(dataDir, (size) => size - 1 - random.below(pageBytes - 1)),
  },
  {
    name: "is all zeros",
    apply: ({ dataDir }) => changeIndex(dataDir, "kura.db", (bytes) => bytes.fill(0)),
  },
  {
    name: "is of garbage",
    apply: ({ dataDir, random }) =>
      changeIndex(dataDir, "kura.db", (bytes) => bytes.set(random.bytes(bytes.length))),
  },
  {
    name: "has a zeroed header",
    apply: ({ dataDir }) => changeIndex(dataDir, "kura.db", (bytes) => bytes.fill(0, 0, 100)),
  },
  {
    name: "has zeroed pages",
    mayHideRows: true,
    apply: ({ dataDir, random }) => changeIndex(dataDir, "kura.db", zeroPages(random)),
  },
  {
    name: "has flipped bits",
    mayHideRows: true,
    apply: ({ dataDir, random }) => changeIndex(dataDir, "kura.db", flipBits(random)),
  },
  {
    name: "has flipped bits in its log",
    mayHideRows: true,
    apply: ({ dataDir, random }) => changeIndex(dataDir, "kura.db-wal", flipBits(random)),
  },
  { name: "has lost its log", apply: ({ dataDir }) => removeFile(dataDir, "kura.db-wal") },
  {
    name: "has a cut log",
    apply: ({ dataDir, random }) => {
      const file = path.join(dataDir, "kura.db-wal");
      if (fs.existsSync(file)) fs.truncateSync(file, random.below(fs.statSync(file).size + 1));
    },
  },
  {
    name: "has lost its shared memory",
    apply: ({ dataDir }) => removeFile(dataDir, "kura.db-shm"),
  },
  {
    name: "is an older copy",
    apply: ({ dataDir, older }) => {
      removeIndex(dataDir);
      restoreFolder(path.join(older, "kura.db"), path.join(dataDir, "kura.db"));
    },
  },
  {
    name: "is an older copy under the newer log",
    mayHideRows: true,
    apply: ({ dataDir, older }) =>
      restoreFolder(path.join(older, "kura.db"), path.join(dataDir, "kura.db")),
  },
];

/**
 * How the node ended before the damage. Killed, nearly all of the index lies in its log, which hides what is wrong in
 * the database below; stopped, all of it lies in the database and there is no log.
 */
export const nodeEndings = ["killed", "stopped"] as const;
export type NodeEnding = (typeof nodeEndings)[number];

/** What one damaged start came to. */
export type IndexDamageReport = { keysRead: number; hiddenRows: number };

/**
 * Loads a node, ends it, damages its index and starts it: it starts, gives no wrong byte and has everything that was
 * acknowledged. Where SQLite cannot notice a damage, a row may be a miss until the index is rebuilt.
 */
export function runIndexDamage(
  damage: IndexDamage,
  ending: NodeEnding,
): Promise<IndexDamageReport> {
  return withFaultRun("index-damage", async (run) => {
    const keySpace = new KeySpace(run.seed, cleanedNamespaceCount);
    const older = path.join(run.folder, "older");
    let node = await run.start();
    await load(run, node, keySpace);
    await node.stop();
    run.judge.accept({ at: "crash" });
    restoreFolder(run.dataDir, older);
    node = await run.start();
    await load(run, node, keySpace);
    if (ending === "stopped") await node.stop();
    await run.crash(node);

    damage.apply({ dataDir: run.dataDir, older, random: run.random });
    node = await run.start();
    if (!damage.mayHideRows) return { ...asReport(await run.audit(node)), hiddenRows: 0 };
    const hiddenRows = await countHiddenRows(run, node);
    await node.kill();
    if (hiddenRows > 0) removeIndex(run.dataDir);
    const rebuilt = await run.start();
    return { ...asReport(await run.audit(rebuilt)), hiddenRows };
  });
}

/**
 * Counts the keys that are not what they should be, which may only be misses or earlier values of theirs.
 * @throws when bytes are served that nobody stored under the key.
 */
async function countHiddenRows(run: FaultRun, node: NodeProcess): Promise<number> {
  let found: Awaited<ReturnType<typeof findKeys>> = [];
  // A statement that meets the damage has the index rebuilt under way: reads are 503 until that has ended.
  const areAllRead = async (): Promise<boolean> => {
    const read = await findKeys(node.port, run.judge).catch(() => null);
    if (read !== null) found = read;
    return read !== null;
  };
  await until("reads that all say something", areAllRead, rebuildMsMax);
  let hiddenRows = 0;
  for (const { key, value } of found) {
    const fault = run.judge.check(key, value);
    if (fault === "wrongBytes" || fault === "refusedAppears") {
      throw new Error(`${key} gave ${value}, which is ${fault}`);
    }
    if (fault !== null) hiddenRows++;
  }
  return hiddenRows;
}

function asReport({ readCount }: { readCount: number }) {
  return { keysRead: readCount };
}

async function load(run: FaultRun, node: NodeProcess, keySpace: KeySpace): Promise<void> {
  const { judge, random } = run;
  keySpace.allowKept(cleanedNamespaceCount * writers);
  const running = startLoad({
    port: node.port,
    judge,
    random,
    keySpace,
    writers,
    plannedBodies: planBodies(random),
    cleans: 1,
  });
  await running.reached(100, 1);
  await Bun.sleep(loadMs);
  await running.stop();
}

function changeIndex(dataDir: string, name: string, change: (bytes: Uint8Array) => void): void {
  const file = path.join(dataDir, name);
  if (!fs.existsSync(file)) return;
  const bytes = fs.readFileSync(file);
  change(bytes);
  fs.writeFileSync(file, bytes);
}

function cutIndex(dataDir: string, sizeAfter: (sizeBytes: number) => number): void {
  const file = path.join(dataDir, "kura.db");
  fs.truncateSync(file, sizeAfter(fs.statSync(file).size));
}

function removeFile(dataDir: string, name: string): void {
  fs.rmSync(path.join(dataDir, name), { force: true });
}

function flipBits(random: Random): (bytes: Uint8Array) => void {
  return (bytes) => {
    for (let i = 0; i < flipsPerDamage && bytes.length > 0; i++) {
      bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    }
  };
}

function zeroPages(random: Random): (bytes: Uint8Array) => void {
  return (bytes) => {
    for (let i = 0; i < zeroedPages; i++) {
      const page = random.below(Math.ceil(bytes.length / pageBytes));
      bytes.fill(0, page * pageBytes, (page + 1) * pageBytes);
    }
  };
}
