import { expect, test } from "bun:test";
import { KiB, MiB } from "../../../../runtime/base/units.ts";
import { UnsyncedBytes } from "../../../../runtime/store/unsynced.ts";

test("nobody waits for the disk below the bound", () => {
  const unsynced = new UnsyncedBytes(64 * MiB);
  unsynced.note(64 * MiB);
  expect(unsynced.isDue(64 * MiB)).toBe(false);
});

test("beyond it those with much of it do, and far beyond it nearly everybody", () => {
  const unsynced = new UnsyncedBytes(64 * MiB);
  unsynced.note(65 * MiB);
  expect([unsynced.isDue(4 * MiB), unsynced.isDue(3 * MiB)]).toEqual([true, false]);
  unsynced.note(64 * MiB);
  expect([unsynced.isDue(256 * KiB), unsynced.isDue(255 * KiB)]).toEqual([true, false]);
});

test("what is on disk counts no more", () => {
  const unsynced = new UnsyncedBytes(64 * MiB);
  unsynced.note(80 * MiB);
  unsynced.note(-40 * MiB);
  expect(unsynced.isDue(40 * MiB)).toBe(false);
});
