import { expect, test } from "bun:test";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { day } from "../../../../runtime/base/units.ts";
import { Ghosts } from "../../../../runtime/store/ghosts.ts";
import { SimClock } from "../../../support/sim-clock.ts";

const id = (i: number): Uint8Array => sha256(`artifact ${i}`);

test("a ghost is remembered half a week at least and a week at most, also by the next process", () => {
  const clock = new SimClock();
  const ghosts = new Ghosts(clock);
  ghosts.add(id(1));
  clock.jumpWall(3.6 * day);
  ghosts.add(id(2));
  const next = new Ghosts(clock);
  expect(next.load(ghosts.save())).toBe(true);
  for (const each of [ghosts, next]) {
    expect([each.has(id(1)), each.has(id(2)), each.count]).toEqual([true, true, 2]);
    clock.jumpWall(3.6 * day);
    each.add(id(3));
    expect([each.has(id(1)), each.has(id(2))]).toEqual([false, true]);
    clock.jumpWall(-3.6 * day);
  }
});

test("what is no save is not taken", () => {
  const ghosts = new Ghosts(new SimClock());
  const saved = ghosts.save();
  for (const length of [0, 7, 16, 1_000, saved.length - 1]) {
    expect(ghosts.load(saved.subarray(0, length))).toBe(false);
  }
  expect(ghosts.load(saved)).toBe(true);
});
