import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB, MiB, minute, second } from "../../../../runtime/base/units.ts";
import { DeadFiles } from "../../../../runtime/store/dead-files.ts";
import { FileUsers } from "../../../../runtime/store/file-users.ts";
import { StoreFiles } from "../../../../runtime/store/files.ts";
import { Space } from "../../../../runtime/store/space.ts";
import { SimClock, turn } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";

const fileBytes = 64 * KiB;

/** Three segments, and a disk that unlinks them when `unlink` lets it. */
function bench() {
  const clock = new SimClock();
  const disk = new SimDisk({ calls: new SimCalls(), clock, random: seededRandom(31) });
  for (const folder of ["segments", "large"]) disk.makeFolder(`/data/${folder}`);
  const files = new StoreFiles(disk, "/data");
  const shared = { clock, files, disk, dataDir: "/data" };
  const space = new Space({ ...shared, capacityBytes: MiB, segmentBytes: fileBytes });
  for (let i = 0; i < 3; i++) {
    const file = files.takeNumber();
    files.createSegment(file);
    files.setSegmentBytes(file, fileBytes);
  }
  const uses = new Set<string>();
  const removed: string[] = [];
  const seam = { unlink: (_path: string): Promise<void> => Promise.resolve() };
  const dead = new DeadFiles({
    ...shared,
    space,
    users: new FileUsers([{ isUsing: (path) => uses.has(path), drop: () => {} }]),
    maintenance: () => ({
      removeFile: async (path) => {
        await seam.unlink(path);
        removed.push(path);
      },
    }),
    checkpoint: () => Promise.resolve(),
    note: () => {},
  });
  const pass = async (ms: number): Promise<void> => {
    const endMs = clock.monotonicMs() + ms;
    clock.after(ms, () => {});
    await turn();
    while (clock.monotonicMs() < endMs && clock.step()) await turn();
  };
  return { files, space, uses, removed, seam, dead, pass };
}

describe("dead files", () => {
  test("are unlinked from the oldest to the youngest, in whatever order they died", async () => {
    const { files, removed, dead, pass } = bench();
    for (const file of [3, 1, 2]) dead.add(file);
    await pass(minute);
    expect(removed).toEqual([1, 2, 3].map((file) => files.segmentPath(file)));
    expect(files.usedBytes).toBe(0);
  });

  test("stay for as long as an older one cannot be unlinked", async () => {
    const { files, space, removed, seam, dead, pass } = bench();
    seam.unlink = async (path) => {
      if (path === files.segmentPath(1)) throw new Error("EIO");
    };
    for (const file of [2, 3, 1]) dead.add(file);
    await pass(minute);
    expect([removed, files.usedBytes]).toEqual([[], 3 * fileBytes]);
    expect(space.pinnedBytes()).toBe(fileBytes);
    seam.unlink = () => Promise.resolve();
    await pass(second);
    expect(removed).toEqual([1, 2, 3].map((file) => files.segmentPath(file)));
  });

  test("that somebody reads lose their names and count until he is done", async () => {
    const { files, space, uses, removed, dead, pass } = bench();
    const path = files.segmentPath(1);
    uses.add(path);
    for (const file of [1, 2]) dead.add(file);
    await pass(minute);
    expect(removed).toEqual([1, 2].map((file) => files.segmentPath(file)));
    expect([files.holds(1), files.holds(2)]).toEqual([true, false]);
    expect([space.usedBytes, space.pinnedBytes()]).toEqual([2 * fileBytes, fileBytes]);
    uses.delete(path);
    await pass(second);
    expect([space.usedBytes, space.pinnedBytes()]).toEqual([fileBytes, 0]);
  });
});

describe("somebody who cannot go on without their room", () => {
  test("has it at once, although the next look is a while away", async () => {
    const { files, space, removed, dead, pass } = bench();
    for (const file of [1, 2, 3]) dead.add(file);
    // In the middle between two looks, and before the time that readers are given in calm.
    await pass(150);
    expect(removed).toEqual([]);
    const take = space.take(MiB);
    await pass(1);
    expect(removed).toEqual([1, 2, 3].map((file) => files.segmentPath(file)));
    (await take.room).giveBack();
  });

  test("has that of a file that dies while he waits", async () => {
    const { files, space, uses, removed, dead, pass } = bench();
    // Somebody reads the first one on, so that there is a next look.
    uses.add(files.segmentPath(1));
    dead.add(1);
    const take = space.take(MiB - 2 * fileBytes);
    await pass(150);
    expect(removed).toEqual([files.segmentPath(1)]);
    for (const file of [2, 3]) dead.add(file);
    await pass(1);
    (await take.room).giveBack();
  });

  test("may be the one who writes again what is to stay, or the committer", async () => {
    const { files, space, removed, dead, pass } = bench();
    dead.add(1);
    await pass(150);
    space.isHurried = true;
    await pass(1);
    expect(removed).toEqual([files.segmentPath(1)]);
    space.isHurried = false;
    dead.add(2);
    await pass(150);
    space.want(MiB);
    await pass(1);
    expect(removed).toEqual([1, 2].map((file) => files.segmentPath(file)));
  });
});

test("a disk that refuses to unlink is asked a few times a second, however many wait for room", async () => {
  const { space, seam, dead, pass } = bench();
  let asked = 0;
  seam.unlink = async () => {
    asked += 1;
    throw new Error("EIO");
  };
  dead.add(1);
  for (let i = 0; i < 100; i++) {
    space.want(MiB);
    await pass(10);
  }
  expect(asked).toBeGreaterThan(5);
  expect(asked).toBeLessThanOrEqual(20);
});

test("a store that is made anew keeps every file whose unlink had not begun", async () => {
  const { files, removed, seam, dead, pass } = bench();
  const gate = Promise.withResolvers<void>();
  let begun = 0;
  seam.unlink = () => {
    begun += 1;
    return gate.promise;
  };
  for (const file of [1, 2, 3]) dead.add(file);
  await pass(minute);
  expect(begun).toBe(1);
  let isCleared = false;
  const cleared = dead.clear().then(() => {
    isCleared = true;
  });
  await turn();
  // What is under way ends first: what is found on disk from here on stays there.
  expect(isCleared).toBe(false);
  gate.resolve();
  await cleared;
  await pass(minute);
  expect(removed).toEqual([files.segmentPath(1)]);
  expect(begun).toBe(1);
});
