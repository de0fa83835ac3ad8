import { expect, test } from "bun:test";
import { DegradedModes } from "../../../../runtime/observe/degraded.ts";

test("a mode is told of once when it begins and once when it has ended, whatever its figures do meanwhile", () => {
  const modes = new DegradedModes();
  const told: string[] = [];
  modes.listen((mode, reason) => told.push(`${mode} ${reason}`));
  modes.set("disk_full", null);
  modes.set("disk_full", "3 bytes are free");
  modes.set("disk_full", "2 bytes are free");
  expect(modes.list()).toEqual([{ mode: "disk_full", reason: "2 bytes are free" }]);
  modes.set("disk_full", null);
  modes.set("disk_full", null);
  expect(told).toEqual(["disk_full 3 bytes are free", "disk_full null"]);
  expect(modes.list()).toEqual([]);
});

test("whoever listens late hears of what has begun", () => {
  const modes = new DegradedModes();
  modes.set("read_only", "EIO");
  const told: string[] = [];
  modes.listen((mode) => told.push(mode));
  expect(told).toEqual(["read_only"]);
  expect([modes.holds("read_only"), modes.holds("disk_full")]).toEqual([true, false]);
});

test("modes are listed in one order, however they came", () => {
  const modes = new DegradedModes();
  modes.set("scrub_damage", "2 bodies");
  modes.set("disk_full", "full");
  expect(modes.list().map(({ mode }) => mode)).toEqual(["disk_full", "scrub_damage"]);
});
