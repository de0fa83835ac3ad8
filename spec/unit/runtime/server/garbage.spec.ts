import { expect, test } from "bun:test";
import { MiB, second } from "../../../../runtime/base/units.ts";
import { watchGarbage } from "../../../../runtime/server/garbage.ts";
import { SimClock } from "../../../support/sim-clock.ts";

test("a collection is asked for each time that memory has grown by 16 MiB over what the last one left", () => {
  const clock = new SimClock();
  let residentBytes = 100 * MiB;
  let collections = 0;
  const timer = watchGarbage(clock, {
    residentBytes: () => residentBytes,
    collect: () => {
      collections += 1;
    },
  });
  const after = (bytes: number): number => {
    residentBytes = bytes;
    clock.step();
    return collections;
  };
  expect([after(100 * MiB), after(115 * MiB), after(116 * MiB)]).toEqual([0, 0, 1]);
  // Nothing was freed: what is in use is no reason to collect again.
  expect([after(116 * MiB), after(131 * MiB)]).toEqual([1, 1]);
  // Something was, and the next growth counts from there.
  expect([after(90 * MiB), after(105 * MiB), after(106 * MiB)]).toEqual([1, 1, 2]);
  expect(clock.monotonicMs()).toBe(8 * second);
  timer.cancel();
  expect(clock.step()).toBe(false);
});
