import { expect, test } from "bun:test";
import { second } from "../../../../runtime/base/units.ts";
import { MemoryPressure } from "../../../../runtime/observe/memory-pressure.ts";
import { type MemoryTier, memoryTiers } from "../../../../runtime/observe/memory-tier.ts";

const marks = { softBytes: 1_000, hardBytes: 2_000 };

function entries(pressure: MemoryPressure): number[] {
  return memoryTiers.map((tier) => pressure.entries(tier));
}

test("followers hear of the tier at once and at every change until they stop", () => {
  const pressure = new MemoryPressure({ ...marks, pin: "auto" });
  const heard: MemoryTier[] = [];
  const unfollow = pressure.follow((tier) => heard.push(tier));
  for (const used of [500, 1_500, 1_600, 2_500, 100]) pressure.note(used, 0);
  unfollow();
  pressure.note(2_500, 0);
  expect(heard).toEqual(["normal", "constrained", "critical", "normal"]);
  expect(entries(pressure)).toEqual([1, 1, 2]);
  expect(pressure.usedBytes).toBe(2_500);
});

test("only critical memory refuses writes, and each refusal is counted", () => {
  const pressure = new MemoryPressure({ ...marks, pin: "auto" });
  pressure.note(1_999, 0);
  pressure.admitWrite();
  pressure.note(2_000, 0);
  expect(() => pressure.admitWrite()).toThrow("short of memory");
  expect(() => pressure.admitWrite()).toThrow("try again later");
  pressure.note(1_799, 0);
  pressure.admitWrite();
  expect(pressure.refusedWrites).toBe(2);
});

test("writes that are refused in vain are let in although memory stays critical", () => {
  const pressure = new MemoryPressure({ ...marks, pin: "auto" });
  for (let nowMs = 0; nowMs <= 31 * second; nowMs += 200) pressure.note(2_000, nowMs);
  expect([pressure.tier, pressure.refusesWrites]).toEqual(["critical", false]);
  pressure.admitWrite();
});

test("nothing is shed when nothing can be measured", () => {
  const pressure = new MemoryPressure({ ...marks, pin: "auto" });
  pressure.note(2_500, 0);
  pressure.note(null, 200);
  expect([pressure.tier, pressure.usedBytes]).toEqual(["normal", null]);
  pressure.admitWrite();
});

test.each(memoryTiers.map((tier) => [tier]))("%s stays when it is pinned", (pin) => {
  const pressure = new MemoryPressure({ ...marks, pin });
  for (const [place, used] of [0, 1_500, 2_500, null].entries()) {
    pressure.note(used, place * 40 * second);
    expect([pressure.tier, pressure.usedBytes]).toEqual([pin, used]);
    expect(pressure.refusesWrites).toBe(pin === "critical");
  }
  expect(entries(pressure)).toEqual(memoryTiers.map((tier) => Number(tier === pin)));
});
