import { expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { GiB, MiB } from "../../../../runtime/base/units.ts";
import { StoreFiles } from "../../../../runtime/store/files.ts";
import { makeScope, nameArtifact } from "../../../../runtime/store/identity.ts";
import { Space } from "../../../../runtime/store/space.ts";
import { LargeStage } from "../../../../runtime/store/stage.ts";
import { StageFiles } from "../../../../runtime/store/stage-file.ts";
import type { BodyFacts } from "../../../../runtime/store/store.ts";
import { quietStalls } from "../../../support/quiet-stalls.ts";
import { drive, SimClock } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";

const bodyBytes = 64 * MiB;
const chunk = new Uint8Array(MiB).fill(7);
const name = nameArtifact("nx", makeScope("tenant", "nx"), "key");
const facts: BodyFacts = { kind: "nx", sha256: null, attributes: {}, writer: "" };

/** Stages on a simulated disk, of which so much may wait for it. */
function bench(unsyncedBytesMax: number, expectedBytes = bodyBytes) {
  const clock = new SimClock();
  const calls = new SimCalls();
  const disk = new SimDisk({ calls, clock, random: seededRandom(3), capacityBytes: GiB });
  for (const folder of ["segments", "large"]) disk.makeFolder(`/data/${folder}`);
  const files = new StoreFiles(disk, "/data", unsyncedBytesMax);
  const shared = { disk, clock, dataDir: "/data", files };
  const space = new Space({ ...shared, capacityBytes: GiB / 2, segmentBytes: 8 * MiB });
  const stage = (): LargeStage =>
    new LargeStage({
      stages: new StageFiles(disk, null),
      scratch: null,
      files,
      space,
      stalls: quietStalls(clock),
      storeId: new Uint8Array(16),
      expectedBytes,
      syncFolder: () => disk.syncFolderLater("/data/large"),
    });
  const fill = async (one: LargeStage): Promise<void> => {
    for (let sent = 0; sent < bodyBytes; sent += chunk.length) await one.write(chunk);
  };
  const syncs = (): number => calls.trace.filter(({ kind }) => kind === "sync").length;
  return { clock, calls, files, space, stage, fill, syncs };
}

test("a body is synced once, at its end, as long as little waits for the disk", async () => {
  const { clock, stage, fill, syncs } = bench(128 * MiB);
  const one = stage();
  await drive(clock, fill(one));
  expect(syncs()).toBe(0);
  await drive(clock, one.finish(name, facts));
  expect(syncs()).toBe(1);
});

test("beyond the bound bodies go to the disk while they come, and nothing is counted when they are over", async () => {
  const { clock, files, stage, fill, syncs } = bench(16 * MiB);
  const stages = [stage(), stage(), stage()];
  await drive(clock, Promise.all(stages.map(fill)));
  expect(syncs()).toBeGreaterThan(20);
  const [first, second, third] = stages;
  await drive(clock, Promise.all([first?.finish(name, facts), second?.finish(name, facts)]));
  third?.discard();
  while (clock.step());
  await drive(clock, Promise.resolve());
  expect(files.unsynced.bytes).toBe(0);
});

test("a body whose sync failed is refused, and its file is not synced again", async () => {
  const { clock, calls, stage, fill, files } = bench(16 * MiB);
  calls.fail({ at: 1, times: "once", code: "EIO", effect: 0, kind: "sync" });
  const one = stage();
  await expect(drive(clock, fill(one))).rejects.toThrow("EIO");
  const before = calls.count;
  await expect(drive(clock, one.finish(name, facts))).rejects.toThrow("EIO");
  one.discard();
  expect(calls.trace.slice(before).map(({ kind }) => kind)).not.toContain("sync");
  expect(files.unsynced.bytes).toBe(0);
});

test("a body that is given up while it is synced leaves no file and nothing counted", async () => {
  const { clock, calls, stage, files } = bench(MiB);
  const one = stage();
  const write = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) await one.write(chunk);
  };
  await drive(clock, write());
  expect(calls.trace.at(-1)?.kind).toBe("sync");
  one.discard();
  while (clock.step());
  await drive(clock, Promise.resolve());
  expect([files.largeCount, files.unsynced.bytes]).toEqual([0, 0]);
});

test("a body of unknown length counts once what is written, and the step for which it has room", async () => {
  const { clock, space, stage } = bench(128 * MiB, 0);
  const before = space.usedBytes;
  const one = stage();
  const pageBytes = space.usedBytes - before;
  const counted: number[] = [];
  for (let writtenMiB = 1; writtenMiB <= 40; writtenMiB++) {
    await drive(clock, one.write(chunk));
    counted.push((space.usedBytes - before - pageBytes) / MiB);
  }
  // Room is taken with the first chunk, and each time when it is used up: a step beyond what has come.
  const stepMiB = GiB / 2 / MiB / 32;
  const steps = [1, 2, 3].map((step) => step * (1 + stepMiB));
  expect(counted).toEqual(counted.map((_, i) => steps.find((endMiB) => i < endMiB) ?? 0));
  one.discard();
  await drive(clock, Promise.resolve());
  expect(space.usedBytes).toBe(before);
});

test("a body of unknown length that is given up while it waits for room gives everything back", async () => {
  const { clock, files, space, stage } = bench(128 * MiB, 0);
  const file = files.takeNumber();
  files.createSegment(file);
  files.setSegmentBytes(file, GiB / 2 - 20 * MiB);
  const before = space.usedBytes;
  const one = stage();
  for (let writtenMiB = 1; writtenMiB <= 17; writtenMiB++) await drive(clock, one.write(chunk));
  const waits = one.write(chunk).catch(() => "given up");
  expect(space.waiting).toBe(1);
  one.discard();
  expect(await waits).toBe("given up");
  expect([space.usedBytes, space.waiting]).toEqual([before, 0]);
});

test("bodies of unknown length whose files cannot be removed leave their turn to others", async () => {
  const { clock, calls, stage } = bench(128 * MiB, 0);
  // A quarter of the capacity, in steps of 16 MiB.
  const stages = Array.from({ length: 8 }, stage);
  for (const one of stages) await drive(clock, one.write(chunk));
  calls.fail({ at: 1, times: "forever", code: "EIO", effect: 0, kind: "remove" });
  for (const one of stages) expect(() => one.discard()).toThrow("EIO");
  const before = clock.monotonicMs();
  for (const one of Array.from({ length: 8 }, stage)) await drive(clock, one.write(chunk));
  expect(clock.monotonicMs() - before).toBeLessThan(1_000);
});

test("bodies of unknown length that have come whole leave their turn, and the room for more, to others", async () => {
  const { clock, space, stage } = bench(128 * MiB, 0);
  const stages = Array.from({ length: 8 }, stage);
  for (const one of stages) await drive(clock, one.write(chunk));
  for (const one of stages) one.endIntake();
  expect(space.reservedBytes).toBe(0);
  const before = clock.monotonicMs();
  for (const one of Array.from({ length: 8 }, stage)) await drive(clock, one.write(chunk));
  expect(clock.monotonicMs() - before).toBeLessThan(1_000);
});
