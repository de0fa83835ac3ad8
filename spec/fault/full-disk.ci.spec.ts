import { describe, expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { KiB, MiB, second } from "../../runtime/base/units.ts";
import { type FaultRun, withFaultRun } from "../support/fault-run.ts";
import { type LoadConnection, openLoadConnection } from "../support/load-client.ts";
import { KeySpace } from "../support/load-keys.ts";
import {
  cleanRequest,
  keyText,
  type LoadKey,
  makeContent,
  outcomeOf,
  putRequest,
} from "../support/load-surface.ts";
import { type NodeProcess, until } from "../support/node-process.ts";
import { putOneByOne, type SequencePut } from "../support/put-sequence.ts";
import { mountTmpfs } from "../support/tmpfs.ts";

const diskBytes = 64 * MiB;
/** Left beside the filler: more than the reserve of the store, less than what the specs put. */
const roomBytes = 12 * MiB;
const refusalMsMax = 1 * second;
const resumeMsMax = 5 * second;
const putsMax = 400;
/** No other put of these specs has a number like this. */
const unusedIndex = 1_000_000;
const sizesBytes = [200 * KiB, 700 * KiB, 100, 1_500 * KiB];
const testMsMax = 60 * second;

describe("a disk that is full", () => {
  test(
    "refuses puts with 507 within a second, serves gets and cleans, and writes again when space is back",
    () =>
      withFaultRun("full-disk", async (run) => {
        const disk = mountTmpfs(run.dataDir, diskBytes);
        try {
          await fillTheDisk(run);
        } finally {
          disk.unmount();
        }
      }),
    testMsMax,
  );

  test(
    "at its own capacity the store refuses puts in the same way and goes on serving",
    () =>
      withFaultRun("at-capacity", async (run) => {
        const env = { KURA_CAS_CAPACITY_BYTES: String(32 * MiB) };
        const keySpace = new KeySpace(run.seed, 2);
        const node = await run.start({ env });
        await putUntilRefused(run, node, keySpace);
        const next = await checkFull(run, node, keySpace, env);
        await checkRefusals(run, next, keySpace);
      }),
    testMsMax,
  );
});

async function fillTheDisk(run: FaultRun): Promise<void> {
  // Above what this disk can hold, so that the disk and not the capacity is what ends.
  const env = { KURA_CAS_CAPACITY_BYTES: String(Math.floor(diskBytes * 0.8)) };
  const keySpace = new KeySpace(run.seed, 2);
  const node = await run.start({ env });
  const filler = path.join(run.dataDir, "filler");
  fillUp(run.dataDir, filler);
  await putUntilRefused(run, node, keySpace);
  const next = await checkFull(run, node, keySpace, env);

  fs.rmSync(filler);
  const isWriting = async (): Promise<boolean> => {
    const [put] = await putOneByOne({ ...target(run, next, keySpace), count: 1 });
    return put?.outcome === "acknowledged";
  };
  await until("writes going on once there is space", isWriting, resumeMsMax);
  await run.crash(next);
  await run.audit(await run.start({ env }));
}

/** A file that leaves `roomBytes` free, so that the fixed reserves of a store fit the small disk beside it. */
function fillUp(folder: string, filler: string): void {
  const { bavail, bsize } = fs.statfsSync(folder);
  const file = fs.openSync(filler, "w");
  for (let left = bavail * bsize - roomBytes; left > 0; left -= MiB) {
    fs.writeSync(file, new Uint8Array(Math.min(left, MiB)));
  }
  fs.closeSync(file);
}

function target(run: FaultRun, node: NodeProcess, keySpace: KeySpace) {
  return { port: node.port, judge: run.judge, random: run.random, keySpace };
}

async function putUntilRefused(run: FaultRun, node: NodeProcess, keySpace: KeySpace) {
  for (let i = 0; i < putsMax; i++) {
    const puts = await putOneByOne({ ...target(run, node, keySpace), count: 1, sizesBytes });
    if (puts[0]?.outcome !== "acknowledged") return checkRefused(puts);
    const large = await putOneByOne({
      ...target(run, node, keySpace),
      count: 1,
      sizesBytes: [2 * MiB],
    });
    if (large[0]?.outcome !== "acknowledged") return checkRefused(large);
  }
  throw new Error(`The store took ${2 * putsMax} puts and was never full`);
}

/** Full: refusals are right, reads and cleans go on, and a restart changes nothing. */
async function checkFull(
  run: FaultRun,
  node: NodeProcess,
  keySpace: KeySpace,
  env: Record<string, string>,
): Promise<NodeProcess> {
  await checkRefusals(run, node, keySpace);
  await run.readAll(node);
  await checkClean(run, node, keySpace);
  await run.readAll(node);
  await run.crash(node);
  const next = await run.start({ env });
  await run.audit(next);
  return next;
}

/** Bodies of 2 MiB cannot fit any more; the small ones of each surface may, until they are refused as well. */
async function checkRefusals(run: FaultRun, node: NodeProcess, keySpace: KeySpace): Promise<void> {
  const connection = openLoadConnection(node.port);
  const namespaces: Record<string, string> = { nx: "nx", metro: "metro" };
  for (const surface of ["xcode", "gradle", "nx", "metro"] as const) {
    const key = { surface, namespace: namespaces[surface] ?? "full", index: unusedIndex };
    const startMs = performance.now();
    const answer = await putOn(
      run,
      connection,
      key,
      makeContent(keySpace.nextContentName(key), 12 * MiB),
    );
    expect(performance.now() - startMs).toBeLessThan(refusalMsMax);
    expect(answer.status).toBe(surface === "nx" ? 403 : 507);
    if (surface === "nx") expect(answer.contentType).toStartWith("text/plain");
  }
  connection.close();
}

async function putOn(run: FaultRun, connection: LoadConnection, key: LoadKey, content: Uint8Array) {
  const { request, value } = putRequest(key, content);
  const op = run.judge.put(keyText(key), value);
  const exchange = await connection.exchange(request);
  run.judge.accept({ at: "outcome", op, outcome: outcomeOf(exchange) });
  if (exchange.at === "lost") throw new Error(`Put of ${keyText(key)}: ${exchange.reason}`);
  return exchange;
}

async function checkClean(run: FaultRun, node: NodeProcess, keySpace: KeySpace): Promise<void> {
  const connection = openLoadConnection(node.port);
  const op = run.judge.clean("clean0");
  const exchange = await connection.exchange(cleanRequest("clean0"));
  run.judge.accept({ at: "outcome", op, outcome: outcomeOf(exchange) });
  expect(exchange.at === "answered" ? exchange.status : exchange.reason).toBe(204);
  keySpace.cleaned("clean0");
  connection.close();
}

function checkRefused(puts: readonly SequencePut[]): void {
  for (const put of puts) {
    const isNx = put.key.startsWith("nx/");
    expect(`${put.key} ${put.status}`).toBe(`${put.key} ${isNx ? 403 : 507}`);
    expect(put.endMs - put.startMs).toBeLessThan(refusalMsMax);
  }
}
