import { describe, expect, test } from "bun:test";
import { asFault } from "../../../../runtime/base/fault.ts";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB, MiB, minute, second } from "../../../../runtime/base/units.ts";
import { StoreFiles } from "../../../../runtime/store/files.ts";
import type { Assembly, CompletionOutcome } from "../../../../runtime/store/multipart.ts";
import { type PartRoom, PartSpace } from "../../../../runtime/store/multipart-space.ts";
import { Space } from "../../../../runtime/store/space.ts";
import { drive, SimClock, turn } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";
import { EvictionRun, evictionCapacity, putOf } from "../../../support/sim-eviction.ts";

const capacityBytes = MiB;
const segmentBytes = 64 * KiB;
const takenBytes = 800 * KiB;
const partBytes = 300 * KiB;

/** A store of which so much is taken by one file, without anybody who makes room. */
function bench() {
  const clock = new SimClock();
  const disk = new SimDisk({ calls: new SimCalls(), clock, random: seededRandom(71) });
  disk.makeFolder("/data/segments");
  const files = new StoreFiles(disk, "/data");
  const file = files.takeNumber();
  files.createSegment(file);
  files.setSegmentBytes(file, takenBytes);
  const space = new Space({ disk, clock, dataDir: "/data", files, capacityBytes, segmentBytes });
  const named = { bytes: 0 };
  const parts = new PartSpace({
    space,
    storedBytesMax: capacityBytes,
    namedBytes: () => named.bytes,
    scratch: null,
  });
  return { clock, files, file, space, named, parts };
}

async function endOf(room: PartRoom): Promise<string> {
  return await room.ready.then(
    () => "ready",
    (error: unknown) => asFault(error).code,
  );
}

describe("the room of a part", () => {
  test("is counted once, while it is waited for, when it is there, and when a row names it", async () => {
    const { clock, files, file, space, named, parts } = bench();
    const room = parts.open(partBytes);
    expect([space.usedBytes, space.waiting, parts.heldBytes]).toEqual([takenBytes, 1, partBytes]);
    files.removeSegment(file);
    expect((await drive(clock, endOf(room)))?.value).toBe("ready");
    expect([space.usedBytes, space.waiting]).toEqual([partBytes, 0]);
    named.bytes = 100;
    room.close();
    expect([space.usedBytes, parts.heldBytes]).toEqual([100, 100]);
  });

  test("that was not made in time does not count, however long its client stays", async () => {
    const { clock, space, parts } = bench();
    const room = parts.open(partBytes);
    expect((await drive(clock, endOf(room)))?.value).toBe("full");
    await turn();
    expect([space.usedBytes, space.waiting]).toEqual([takenBytes, 0]);
    expect(parts.heldBytes).toBe(partBytes);
    room.close();
    expect([space.usedBytes, parts.heldBytes]).toEqual([takenBytes, 0]);
  });

  test("is given away when the part is given up while it waits, and as it is granted", async () => {
    const { clock, files, file, space, parts } = bench();
    const rooms = [parts.open(partBytes), parts.open(partBytes), parts.open(partBytes)];
    rooms[0]?.close();
    expect(space.waiting).toBe(2);
    files.removeSegment(file);
    // Granted, and nobody has heard of it yet.
    rooms[1]?.close();
    await drive(clock, rooms[2]?.ready ?? Promise.resolve());
    expect([space.usedBytes, parts.heldBytes]).toEqual([partBytes, partBytes]);
    rooms[2]?.close();
    expect([space.usedBytes, parts.heldBytes, space.waiting]).toEqual([0, 0, 0]);
  });
});

/** Fills the store so that a part has to wait; two under one number, of which the first is given up. */
async function givesUpWhileWaiting(run: EvictionRun): Promise<void> {
  const { store, clock } = run.sim;
  const { uploads } = store;
  const upload = uploads.start(putOf("module").name);
  const body = run.random.bytes(0.3 * evictionCapacity);
  const [first, second] = [
    uploads.openPart(upload, { number: 1, sizeBytes: body.length }),
    uploads.openPart(upload, { number: 1, sizeBytes: body.length }),
  ];
  const givenUp = first.write(body).catch(() => "given up");
  const stays = second.write(body).then(() => second.finish());
  first.discard();
  await drive(clock, stays);
  expect(await givenUp).toBe("given up");
  expect(uploads.figures()).toEqual({ activeCount: 1, partBytes: body.length });
  expect(run.sim.disk.list("/data/parts")).toHaveLength(1);
  await run.pass(minute);
  expect(store.usage().usedBytes).toBe(fileBytesOf(run) + body.length);
}

function fileBytesOf(run: EvictionRun): number {
  const { disk } = run.sim;
  let bytes = 0;
  for (const folder of ["/data/segments", "/data/large"]) {
    for (const name of disk.list(folder)) bytes += disk.sizeBytes(`${folder}/${name}`) ?? 0;
  }
  return bytes;
}

test("a part that is given up while it waits for room leaves nothing of it behind", async () => {
  const run = await EvictionRun.start(72);
  await run.fill("old", 2 * evictionCapacity);
  await givesUpWhileWaiting(run);
});

describe("parts whose sum cannot fit beside them", () => {
  test("are refused at once when they are completed, and stay", async () => {
    const run = await EvictionRun.start(73);
    const { store, clock, disk } = run.sim;
    const { uploads } = store;
    const upload = uploads.start(putOf("module").name);
    const body = run.random.bytes(0.15 * evictionCapacity);
    for (const number of [1, 2, 3, 4]) {
      const part = uploads.openPart(upload, { number, sizeBytes: body.length });
      await drive(
        clock,
        part.write(body).then(() => part.finish()),
      );
    }
    await run.fill("beside", 0.5 * evictionCapacity);
    await run.pass(minute);
    const { evictedCount } = store.usage().space;
    const startMs = clock.monotonicMs();
    const completed = uploads.complete(upload, [1, 2, 3, 4], (assembly) => storeIn(run, assembly));
    const end = await drive(
      clock,
      completed.catch((error: unknown) => asFault(error).code),
    );
    expect(end?.value).toBe("full");
    expect(clock.monotonicMs() - startMs).toBeLessThan(second);
    expect(uploads.figures()).toEqual({ activeCount: 1, partBytes: 4 * body.length });
    expect(disk.list("/data/parts")).toHaveLength(4);
    // Nothing else went for it.
    await run.pass(minute);
    expect(store.usage().space.evictedCount).toBe(evictedCount);
    expect(store.usage().usedBytes).toBe(fileBytesOf(run) + 4 * body.length);
  });
});

async function storeIn(run: EvictionRun, assembly: Assembly): Promise<CompletionOutcome> {
  const stage = run.sim.store.stage(assembly.sizeBytes);
  try {
    await assembly.read((chunk) => stage.write(chunk));
    return "stored";
  } catch (error) {
    stage.discard();
    throw error;
  }
}
