import { expect, test } from "bun:test";
import { MiB, second } from "../../../../runtime/base/units.ts";
import { watchGarbage } from "../../../../runtime/server/garbage.ts";
import { SimClock } from "../../../support/sim-clock.ts";

/** A process whose memory is what the test says; `after` is a look later, and returns the collections so far. */
function startWatch() {
  const clock = new SimClock();
  let residentBytes = 100 * MiB;
  let collections = 0;
  let isBusy = false;
  const timer = watchGarbage(clock, {
    residentBytes: () => residentBytes,
    collect: () => {
      collections += 1;
    },
    hasCollected: () => isBusy,
  });
  const after = (mebibytes: number): number => {
    residentBytes = mebibytes * MiB;
    clock.step();
    return collections;
  };
  const beBusy = (isIt: boolean): void => {
    isBusy = isIt;
  };
  return { clock, timer, after, beBusy };
}

test("nothing is collected while the runtime does it by itself, and what is left is right after", () => {
  const { after, beBusy } = startWatch();
  beBusy(true);
  expect([after(116), after(200), after(300)]).toEqual([0, 0, 0]);
  beBusy(false);
  expect(after(300)).toBe(1);
});

test("garbage is collected each time that memory has grown by 16 MiB over what the last collection left", () => {
  const { clock, timer, after } = startWatch();
  expect([after(100), after(115), after(116)]).toEqual([0, 0, 1]);
  // What was freed counts anew.
  expect([after(90), after(105), after(106)]).toEqual([1, 1, 2]);
  expect([after(95), after(111)]).toEqual([2, 3]);
  expect(clock.monotonicMs()).toBe(8 * second);
  timer.cancel();
  expect(clock.step()).toBe(false);
});

test("memory that is in use, or comes and goes by itself, is not collected again and again", () => {
  const { after } = startWatch();
  let collections = 0;
  for (let mebibytes = 100; mebibytes < 1_100; mebibytes += 1) collections = after(mebibytes);
  expect(collections).toBeLessThan(30);
  const before = after(100);
  for (let look = 0; look < 300; look++) collections = after(look % 2 === 0 ? 130 : 122);
  expect(collections - before).toBeLessThan(10);
});

test("it is collected at once again after a collection that has freed something", () => {
  const { after } = startWatch();
  for (let mebibytes = 100; mebibytes < 500; mebibytes += 10) after(mebibytes);
  const before = after(500);
  let collections = before;
  for (let look = 0; look < 400; look++) collections = after(look % 2 === 0 ? 120 : 100);
  expect(collections - before).toBeGreaterThan(100);
});
