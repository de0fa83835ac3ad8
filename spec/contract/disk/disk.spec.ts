import { afterAll, describe, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Disk, DiskFile } from "../../../runtime/base/disk.ts";
import { Fault } from "../../../runtime/base/fault.ts";
import { seededRandom } from "../../../runtime/base/random.ts";
import { realDisk } from "../../../runtime/base/real-disk.ts";
import { drive, SimClock } from "../../support/sim-clock.ts";
import { SimDisk } from "../../support/sim-disk.ts";
import { SimCalls } from "../../support/sim-disk-calls.ts";

/** A disk with an empty folder, and what makes its promises settle. */
type Subject = {
  readonly disk: Disk;
  readonly folder: string;
  readonly settled: <T>(promise: Promise<T>) => Promise<T>;
};

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "kura-disk-contract-"));
afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }));
let folderCount = 0;

function realSubject(): Subject {
  const folder = path.join(temporary, String(folderCount++));
  realDisk.makeFolder(folder);
  return { disk: realDisk, folder, settled: (promise) => promise };
}

function simSubject(): Subject {
  const clock = new SimClock();
  const disk = new SimDisk({ calls: new SimCalls(), clock, random: seededRandom(1) });
  disk.makeFolder("/data");
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    const done = await drive(clock, promise);
    if (done === null) throw new Error("The simulated call never ended");
    return done.value;
  };
  return { disk, folder: "/data", settled };
}

function bytesOf(file: DiskFile): string {
  const bytes = new Uint8Array(file.sizeBytes());
  expect(file.read(bytes, 0)).toBe(bytes.length);
  return new TextDecoder().decode(bytes);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

describe.each([
  ["the real disk", realSubject],
  ["the simulated disk", simSubject],
] as const)("%s", (_, makeSubject) => {
  test("makes a file that did not exist, and refuses one that does", () => {
    const { disk, folder } = makeSubject();
    disk.create(`${folder}/one`).close();
    expect(() => disk.create(`${folder}/one`)).toThrow(Fault);
    expect(() => disk.create(`${folder}/no/such/folder`)).toThrow(Fault);
  });

  test("opens what is there and says null for what is not", () => {
    const { disk, folder } = makeSubject();
    expect(disk.open(`${folder}/none`, "read")).toBeNull();
    expect(disk.sizeBytes(`${folder}/none`)).toBeNull();
    disk.create(`${folder}/some`).close();
    expect(disk.open(`${folder}/some`, "readWrite")?.sizeBytes()).toBe(0);
    expect(disk.sizeBytes(`${folder}/some`)).toBe(0);
  });

  test("reads back what was written, at any place, and zeros between", async () => {
    const { disk, folder, settled } = makeSubject();
    const file = disk.create(`${folder}/one`);
    file.write(text("hello"), 0);
    await settled(file.writeLater(text("world"), 8));
    expect(bytesOf(file)).toBe("hello\0\0\0world");
    file.write(text("J"), 0);
    const other = disk.open(`${folder}/one`, "read");
    expect(bytesOf(other as DiskFile)).toBe("Jello\0\0\0world");
    expect(disk.sizeBytes(`${folder}/one`)).toBe(13);
  });

  test("reads fewer bytes only at the end of a file", () => {
    const { disk, folder } = makeSubject();
    const file = disk.create(`${folder}/one`);
    file.write(text("hello"), 0);
    expect(file.read(new Uint8Array(10), 3)).toBe(2);
    expect(file.read(new Uint8Array(10), 5)).toBe(0);
    expect(file.read(new Uint8Array(10), 50)).toBe(0);
  });

  test("removes, and says whether there was something; an open file stays readable", () => {
    const { disk, folder } = makeSubject();
    const file = disk.create(`${folder}/one`);
    file.write(text("kept"), 0);
    expect(disk.remove(`${folder}/one`)).toBe(true);
    expect(disk.remove(`${folder}/one`)).toBe(false);
    expect(disk.sizeBytes(`${folder}/one`)).toBeNull();
    expect(bytesOf(file)).toBe("kept");
  });

  test("moves a file over another one", () => {
    const { disk, folder } = makeSubject();
    disk.create(`${folder}/new`).write(text("new"), 0);
    disk.create(`${folder}/old`).write(text("older"), 0);
    disk.rename(`${folder}/new`, `${folder}/old`);
    expect(bytesOf(disk.open(`${folder}/old`, "read") as DiskFile)).toBe("new");
    expect(disk.list(folder)).toEqual(["old"]);
    expect(() => disk.rename(`${folder}/new`, `${folder}/old`)).toThrow(Fault);
  });

  test("lists a folder, and nothing for one that is absent", () => {
    const { disk, folder } = makeSubject();
    expect(disk.list(`${folder}/none`)).toEqual([]);
    disk.makeFolder(`${folder}/deep/er`);
    disk.makeFolder(`${folder}/deep/er`);
    disk.create(`${folder}/deep/er/b`).close();
    disk.create(`${folder}/deep/er/a`).close();
    expect(disk.list(`${folder}/deep/er`).sort()).toEqual(["a", "b"]);
    expect(disk.list(`${folder}/deep`)).toEqual(["er"]);
  });

  test("syncs files and folders, at once and later", async () => {
    const { disk, folder, settled } = makeSubject();
    const file = disk.create(`${folder}/one`);
    file.write(text("x"), 0);
    file.sync();
    await settled(file.syncLater());
    disk.syncFolder(folder);
    await settled(disk.syncFolderLater(folder));
    expect(bytesOf(file)).toBe("x");
  });

  test("tells free and total space, free not above total", () => {
    const { disk, folder } = makeSubject();
    expect(disk.freeBytes(folder)).toBeGreaterThan(0);
    expect(disk.totalBytes(folder)).toBeGreaterThanOrEqual(disk.freeBytes(folder));
  });
});
