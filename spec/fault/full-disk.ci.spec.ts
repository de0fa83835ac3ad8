import { describe, expect, test } from "bun:test";
import { KiB, MiB, second } from "../../runtime/base/units.ts";
import { type FaultRun, withFaultRun } from "../support/fault-run.ts";
import { type LoadConnection, openLoadConnection } from "../support/load-client.ts";
import { startLoad } from "../support/load-driver.ts";
import { KeySpace } from "../support/load-keys.ts";
import { planBodies } from "../support/load-sizes.ts";
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
import { type SmallDisk, smallDisks } from "../support/small-disk.ts";

/** Left beside the filler: more than the reserve of the store, less than what the specs put. */
const roomBytes = 12 * MiB;
const refusalMsMax = 1 * second;
const resumeMsMax = 5 * second;
const putsMax = 400;
/** No other put of these specs has a number like this. */
const unusedIndex = 1_000_000;
const sizesBytes = [200 * KiB, 700 * KiB, 100, 1_500 * KiB];
const testMsMax = 120 * second;
const rounds = 5;
const loadMsMax = 150;
/** Few, since every name that is refused is read again and again. */
const writers = 3;

describe.each(smallDisks)("$name", ({ mount }) => {
  test(
    "that is full refuses puts with 507 within a second, serves gets and cleans, and writes again when space is back",
    () => withFaultRun("full-disk", (run) => onDisk(mount(run.dataDir), run, fillTheDisk)),
    testMsMax,
  );

  test(
    "that fills up under load loses nothing that was acknowledged, and writes again when space is back",
    () => withFaultRun("full-under-load", (run) => onDisk(mount(run.dataDir), run, fillUnderLoad)),
    testMsMax,
  );
});

async function onDisk(
  disk: SmallDisk,
  run: FaultRun,
  body: (disk: SmallDisk, run: FaultRun) => Promise<void>,
): Promise<void> {
  try {
    await body(disk, run);
  } finally {
    disk.unmount();
  }
}

/** Above what this disk can hold, so that the disk and not the capacity is what ends. */
function envOf({ sizeBytes }: SmallDisk): Record<string, string> {
  return { KURA_CAS_CAPACITY_BYTES: String(Math.floor(sizeBytes * 0.8)) };
}

async function fillTheDisk(disk: SmallDisk, run: FaultRun): Promise<void> {
  const env = envOf(disk);
  const keySpace = new KeySpace(run.seed, 2);
  const node = await run.start({ env });
  disk.fill(roomBytes);
  await putUntilRefused(run, node, keySpace);
  const next = await checkFull(run, node, keySpace, env);

  disk.release();
  await waitForWrites(run, next, keySpace);
  await run.crash(next);
  await run.audit(await run.start({ env }));
}

/** Somebody else takes all space in the middle of groups, bodies and checkpoints, again and again. */
async function fillUnderLoad(disk: SmallDisk, run: FaultRun): Promise<void> {
  const { random } = run;
  const keySpace = new KeySpace(run.seed, 2);
  const env = { ...envOf(disk), KURA_METADATA_STORE_WRITE_BUFFER_BYTES: String(64 * KiB) };
  const node = await run.start({ env });
  for (let round = 0; round < rounds; round++) {
    // Larger ones would fill the store to its capacity, which is another matter.
    const plannedBodies = planBodies(random).filter(({ sizeBytes }) => sizeBytes < 2 * MiB);
    const load = startLoad({
      ...target(run, node, keySpace),
      writers,
      plannedBodies,
      cleans: 0,
    });
    await Bun.sleep(random.below(loadMsMax));
    disk.fill(random.below(3) * MiB);
    await Bun.sleep(random.below(loadMsMax));
    await run.readAll(node);
    disk.release();
    await load.stop();
    await waitForWrites(run, node, keySpace);
  }
  await run.crash(node);
  console.log(`what the store told: ${[...new Set(node.stderr().match(/store: [a-z -]+/g))]}`);
  await run.audit(await run.start({ env }));
}

async function waitForWrites(run: FaultRun, node: NodeProcess, keySpace: KeySpace): Promise<void> {
  const isWriting = async (): Promise<boolean> => {
    const [put] = await putOneByOne({ ...target(run, node, keySpace), count: 1 });
    return put?.outcome === "acknowledged";
  };
  await until("writes going on once there is space", isWriting, resumeMsMax);
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
