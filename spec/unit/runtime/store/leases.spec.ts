import { expect, test } from "bun:test";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { KiB, MiB } from "../../../../runtime/base/units.ts";
import { Leases, leaseMsMin } from "../../../../runtime/store/leases.ts";
import { SimClock } from "../../../support/sim-clock.ts";

const sizeBytes = KiB;

function artifact(i: number) {
  return { id: sha256(`artifact ${i}`), sizeBytes };
}

function start(capacityBytes = MiB, bytesMax = MiB) {
  const clock = new SimClock();
  return { clock, leases: new Leases({ clock, bytesMax, capacityBytes }) };
}

function pass(clock: SimClock, ms: number): void {
  clock.after(ms, () => {});
  clock.step();
}

test("a lease lasts at least 15 minutes and at most 20, from when it was given last", () => {
  const { clock, leases } = start();
  leases.vouch(artifact(1));
  pass(clock, leaseMsMin - 1);
  leases.vouch(artifact(2));
  expect(leases.holds(artifact(1).id)).toBe(true);
  pass(clock, leaseMsMin - 1);
  expect(leases.holds(artifact(2).id)).toBe(true);
  leases.vouch(artifact(2));
  pass(clock, leaseMsMin + 1);
  expect(leases.holds(artifact(1).id)).toBe(false);
  expect(leases.holds(artifact(2).id)).toBe(true);
  pass(clock, 2 * leaseMsMin);
  expect(leases.holds(artifact(2).id)).toBe(false);
  expect(leases.count).toBe(0);
  expect(leases.leasedBytes).toBe(0);
  expect(leases.shortened).toBe(0);
});

test("what is vouched for again and again counts once, in whatever generation", () => {
  const { clock, leases } = start();
  for (let i = 0; i < 5; i++) leases.vouch(artifact(1));
  pass(clock, leaseMsMin);
  for (let i = 0; i < 5; i++) leases.vouch(artifact(1));
  expect([leases.count, leases.leasedBytes]).toEqual([1, sizeBytes]);
});

test("beyond half of the capacity the oldest leases may end early, each that does counted", () => {
  const { leases } = start(100 * sizeBytes);
  for (let i = 0; i < 80; i++) leases.vouch(artifact(i));
  const kept = (i: number): boolean => leases.keeps(artifact(i).id);
  const all = Array.from({ length: 80 }, (_, i) => i);
  const keptCount = all.filter(kept).length;
  expect(keptCount).toBeGreaterThanOrEqual(37);
  expect(keptCount).toBeLessThanOrEqual(50);
  expect(all.slice(80 - keptCount).every(kept)).toBe(true);
  expect(all.every((i) => leases.holds(artifact(i).id))).toBe(true);
  for (const i of all) if (!kept(i)) leases.shorten(artifact(i));
  expect([leases.shortened, leases.leasedBytes]).toEqual([30, 50 * sizeBytes]);
});

test("what a client was told of a moment ago stays, however much others were told of before", () => {
  const { leases } = start(100 * sizeBytes);
  for (let i = 0; i < 90; i++) leases.vouch(artifact(i));
  expect(leases.keeps(artifact(3).id)).toBe(false);
  leases.vouch(artifact(3));
  expect(leases.keeps(artifact(3).id)).toBe(true);
  expect([leases.count, leases.leasedBytes]).toEqual([90, 90 * sizeBytes]);
});

test("a memory that is full forgets the oldest before their time, and counts them", () => {
  const { leases } = start(64 * MiB, 16 * KiB);
  const many = 40_000;
  for (let i = 0; i < many; i++) leases.vouch(artifact(i));
  expect(leases.shortened).toBeGreaterThan(1_000);
  expect(leases.count + leases.shortened).toBe(many);
  expect(leases.holds(artifact(many - 1).id)).toBe(true);
});
