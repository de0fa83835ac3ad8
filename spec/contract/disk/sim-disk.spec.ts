import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../runtime/base/random.ts";
import { drive, SimClock } from "../../support/sim-clock.ts";
import { SimDisk } from "../../support/sim-disk.ts";
import { SimCalls } from "../../support/sim-disk-calls.ts";
import type { Survival } from "../../support/sim-disk-file.ts";

/** What the simulated disk does that no real one does on demand: all that the simulations rest on. */

const nothing: Survival = { block: () => "lost", entry: () => false, size: () => false };
const everything: Survival = { block: () => "kept", entry: () => true, size: () => true };

function makeDisk(tree?: ConstructorParameters<typeof SimDisk>[1]) {
  const [calls, clock] = [new SimCalls(), new SimClock()];
  const disk = new SimDisk({ calls, clock, random: seededRandom(1) }, tree);
  if (tree === undefined) {
    disk.makeFolder("/data");
    disk.syncFolder("/");
  }
  return { disk, calls, clock };
}

function contentOf(disk: SimDisk, path: string): number[] | null {
  const size = disk.sizeBytes(path);
  return size === null ? null : [...disk.readStretch(path, 0, size)];
}

describe("a power cut", () => {
  test("takes a file whose folder was not synced, however often the file was", () => {
    const { disk } = makeDisk();
    const file = disk.create("/data/one");
    file.write(new Uint8Array([1, 2]), 0);
    file.sync();
    expect(contentOf(makeDisk(disk.crash(nothing)).disk, "/data/one")).toBeNull();
    expect(contentOf(makeDisk(disk.crash(everything)).disk, "/data/one")).toEqual([1, 2]);
  });

  test("takes a folder that its own folder does not have durably, with all in it", () => {
    const { disk } = makeDisk();
    disk.makeFolder("/data/sub");
    disk.create("/data/sub/one").sync();
    disk.syncFolder("/data/sub");
    expect(makeDisk(disk.crash(nothing)).disk.list("/data")).toEqual([]);
    disk.syncFolder.call(makeDisk().disk, "/data");
  });

  test("takes what was written since the last sync, block by block", () => {
    const { disk } = makeDisk();
    const file = disk.create("/data/one");
    disk.syncFolder("/data");
    file.write(new Uint8Array(1_024).fill(1), 0);
    file.sync();
    file.write(new Uint8Array(1_024).fill(2), 0);
    file.write(new Uint8Array(100).fill(3), 1_024);
    const torn: Survival = {
      block: (_, block) => (block === 0 ? { torn: 10 } : block === 1 ? "lost" : "kept"),
      entry: () => true,
      size: () => true,
    };
    const left = makeDisk(disk.crash(torn)).disk.readStretch("/data/one", 0, 1_124);
    expect([left[9], left[10], left[600], left[1_100]]).toEqual([2, 1, 1, 3]);
    expect(disk.crash(nothing).get("/data")?.usedBytes()).toBe(1_024);
  });

  test("may leave a size whose blocks are not there: they read as zeros", () => {
    const { disk } = makeDisk();
    const file = disk.create("/data/one");
    disk.syncFolder("/data");
    file.write(new Uint8Array(3).fill(7), 0);
    const left = makeDisk(disk.crash({ ...nothing, size: () => true })).disk;
    expect(contentOf(left, "/data/one")).toEqual([0, 0, 0]);
  });

  test("may bring a removed file back, until its folder is synced", () => {
    const { disk } = makeDisk();
    disk.create("/data/one").sync();
    disk.syncFolder("/data");
    disk.remove("/data/one");
    expect(contentOf(makeDisk(disk.crash(nothing)).disk, "/data/one")).toEqual([]);
    const next = makeDisk(disk.crash(everything)).disk;
    expect(next.list("/data")).toEqual([]);
  });
});

test("a failed sync makes its pages look clean, and no later sync brings them to the disk", () => {
  const { disk, calls } = makeDisk();
  const file = disk.create("/data/one");
  disk.syncFolder("/data");
  file.write(new Uint8Array([1, 2]), 0);
  calls.fail({ at: 1, kind: "sync", times: "once", code: "EIO", effect: 0 });
  expect(() => file.sync()).toThrow("EIO");
  file.sync();
  expect(file.read(new Uint8Array(2), 0)).toBe(2);
  expect(contentOf(makeDisk(disk.crash(nothing)).disk, "/data/one")).toEqual([]);
});

test("a write after a failed sync is synced like any other", () => {
  const { disk, calls } = makeDisk();
  const file = disk.create("/data/one");
  disk.syncFolder("/data");
  file.write(new Uint8Array([1, 2]), 0);
  calls.fail({ at: 1, kind: "sync", times: "once", code: "EIO", effect: 0 });
  expect(() => file.sync()).toThrow("EIO");
  file.write(new Uint8Array([1, 2]), 0);
  file.sync();
  expect(contentOf(makeDisk(disk.crash(nothing)).disk, "/data/one")).toEqual([1, 2]);
});

test("a sync covers what was written when it began, and not what came after", async () => {
  const { disk, clock } = makeDisk();
  const file = disk.create("/data/one");
  disk.syncFolder("/data");
  file.write(new Uint8Array([1]), 0);
  const syncing = file.syncLater();
  file.write(new Uint8Array([2]), 600);
  await drive(clock, syncing);
  expect(contentOf(makeDisk(disk.crash(nothing)).disk, "/data/one")?.length).toBe(1);
});

test("a kill keeps the page cache, and a write under way in part", () => {
  const { disk } = makeDisk();
  const file = disk.create("/data/one");
  file.write(new Uint8Array([1]), 0);
  void file.writeLater(new Uint8Array(5_000).fill(2), 1);
  const left = makeDisk(disk.kill()).disk;
  const size = left.sizeBytes("/data/one") ?? 0;
  expect(size).toBeGreaterThanOrEqual(1);
  expect(size).toBeLessThanOrEqual(5_001);
});

test("a disk without room takes a part of a write and then fails as full", () => {
  const { disk } = makeDisk();
  disk.capacityBytes = 100;
  const file = disk.create("/data/one");
  expect(() => file.write(new Uint8Array(150), 0)).toThrow("ENOSPC");
  expect(file.sizeBytes()).toBe(75);
  file.write(new Uint8Array(50), 0);
});

test("the power goes off before the call that was chosen, and stays off", () => {
  const { disk, calls } = makeDisk();
  calls.offAt = calls.count + 2;
  const file = disk.create("/data/one");
  expect(() => file.write(new Uint8Array([1]), 0)).toThrow("off");
  expect(() => disk.sizeBytes("/data/one")).toThrow("off");
  expect(contentOf(makeDisk(disk.crash(everything)).disk, "/data/one")).toEqual([]);
});
