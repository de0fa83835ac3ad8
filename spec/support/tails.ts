import fs from "node:fs";
import path from "node:path";
import { unreachable } from "../../runtime/base/assert.ts";
import { KiB } from "../../runtime/base/units.ts";
import { filePageBytes } from "../../runtime/store/format.ts";
import { pick } from "./bit-flip.ts";
import { type FaultRun, withFaultRun } from "./fault-run.ts";
import { removeIndex } from "./index-files.ts";
import { openLoadConnection } from "./load-client.ts";
import { KeySpace } from "./load-keys.ts";
import { keyText, makeContent, outcomeOf, putRequest } from "./load-surface.ts";
import type { NodeProcess } from "./node-process.ts";
import { putOneByOne } from "./put-sequence.ts";

const tailKinds = ["cut", "cutAndGarbage", "garbage", "zeros", "foreign", "overwritten"] as const;
export type TailKind = (typeof tailKinds)[number];

export type TailReport = { starts: number; lastRecordGone: number };

const putsBeforeTail = 4;
const tailBytesMax = 20 * KiB;
const lastBodyBytesMax = 8 * KiB;
const rebuildPeriod = 3;
const cleanedNamespaceCount = 2;
/** A store counts the files whose end was burnt: it gets a fresh directory in time. */
const startsPerStore = 40;

/**
 * Kills a node, changes what lies behind or in the last record of its last file, and starts it: the start succeeds,
 * everything before is right, the last record is there whole or a miss, and no data file gets shorter. Every third
 * time the index is gone as well.
 */
export async function runTails(starts: number): Promise<TailReport> {
  const report: TailReport = { starts: 0, lastRecordGone: 0 };
  while (report.starts < starts) {
    await withFaultRun("tails", async (run) => {
      const keySpace = new KeySpace(run.seed, cleanedNamespaceCount);
      let node = await run.start();
      for (let i = 0; i < startsPerStore && report.starts < starts; i++) {
        node = await damageAndStart(run, node, keySpace, report);
      }
    });
  }
  return report;
}

async function damageAndStart(
  run: FaultRun,
  node: NodeProcess,
  keySpace: KeySpace,
  report: TailReport,
): Promise<NodeProcess> {
  const { judge, random } = run;
  const target = { port: node.port, judge, random, keySpace };
  await putOneByOne({ ...target, count: putsBeforeTail, sizesBytes: [100, 9_000] });
  const file = lastSegment(run.dataDir);
  const startBytes = fs.statSync(file).size;
  const kind = pick(random, tailKinds);
  const lastKey = await putLast(run, node, keySpace, isInRecord(kind));
  const endBytes = fs.statSync(file).size;
  await run.crash(node);

  writeTail(run, { file, kind, startBytes, endBytes });
  if (report.starts % rebuildPeriod === rebuildPeriod - 1) removeIndex(run.dataDir);
  const sizesBefore = dataFileSizes(run.dataDir);
  const next = await run.start();
  await run.audit(next).catch((error: unknown) => {
    const what = `Tail ${kind} of the record from ${startBytes} to ${endBytes} in ${file}`;
    throw new Error(`${what}: ${String(error)}`, { cause: error });
  });
  checkSizes(sizesBefore, dataFileSizes(run.dataDir));
  if (judge.settled(lastKey) === null) report.lastRecordGone++;
  report.starts++;
  return next;
}

/** Kinds that damage the last record itself, and so may take it away. */
function isInRecord(kind: TailKind): boolean {
  return kind === "cut" || kind === "cutAndGarbage" || kind === "overwritten";
}

/** One small put; for the judge its outcome is unknown when its record will be damaged. */
async function putLast(
  run: FaultRun,
  node: NodeProcess,
  keySpace: KeySpace,
  isDoomed: boolean,
): Promise<string> {
  const { judge, random } = run;
  const key = keySpace.drawFresh(random);
  const content = makeContent(keySpace.nextContentName(key), 1 + random.below(lastBodyBytesMax));
  const { request, value } = putRequest(key, content);
  const op = judge.put(keyText(key), value);
  const connection = openLoadConnection(node.port);
  const outcome = outcomeOf(await connection.exchange(request));
  connection.close();
  if (outcome !== "acknowledged") throw new Error(`The last put was ${outcome}`);
  judge.accept({ at: "outcome", op, outcome: isDoomed ? "unknown" : outcome });
  return keyText(key);
}

type Tail = { file: string; kind: TailKind; startBytes: number; endBytes: number };

function writeTail(run: FaultRun, { file, kind, startBytes, endBytes }: Tail): void {
  const { random } = run;
  const record = fs.readFileSync(file).subarray(startBytes, endBytes);
  const insideBytes = startBytes + random.below(endBytes - startBytes);
  const garbage = random.bytes(1 + random.below(tailBytesMax));
  switch (kind) {
    case "cut":
      fs.truncateSync(file, insideBytes);
      break;
    case "cutAndGarbage":
      fs.truncateSync(file, insideBytes);
      fs.appendFileSync(file, garbage);
      break;
    case "garbage":
      fs.appendFileSync(file, garbage);
      break;
    case "zeros":
      fs.appendFileSync(file, new Uint8Array(garbage.length));
      break;
    case "foreign":
      // A whole record that was valid elsewhere: the last one again, or the first ones of another file.
      fs.appendFileSync(file, random.below(2) === 0 ? record : foreignRecords(file));
      break;
    case "overwritten": {
      const handle = fs.openSync(file, "r+");
      const lengthBytes = Math.min(garbage.length, endBytes - insideBytes);
      fs.writeSync(handle, garbage, 0, lengthBytes, insideBytes);
      fs.closeSync(handle);
      break;
    }
    default:
      unreachable(kind);
  }
}

function foreignRecords(file: string): Uint8Array {
  const folder = path.dirname(file);
  const first = fs.readdirSync(folder).sort()[0] ?? path.basename(file);
  const bytes = fs.readFileSync(path.join(folder, first));
  return bytes.subarray(filePageBytes, filePageBytes + tailBytesMax);
}

function lastSegment(dataDir: string): string {
  const folder = path.join(dataDir, "segments");
  return path.join(folder, fs.readdirSync(folder).sort().at(-1) ?? "");
}

function dataFileSizes(dataDir: string): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const folder of ["segments", "large"]) {
    for (const name of fs.readdirSync(path.join(dataDir, folder))) {
      const file = path.join(dataDir, folder, name);
      sizes.set(file, fs.statSync(file).size);
    }
  }
  return sizes;
}

function checkSizes(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): void {
  for (const [file, sizeBytes] of before) {
    const now = after.get(file) ?? 0;
    if (now < sizeBytes) throw new Error(`${file} was shortened from ${sizeBytes} to ${now} bytes`);
  }
}
