import { expect, test } from "bun:test";
import type { Clock } from "../../../../runtime/base/clock.ts";
import { systemClock } from "../../../../runtime/base/clock.ts";
import { watchLoop } from "../../../../runtime/server/loop-lag.ts";

/** A loop whose turns are as late as the test says. */
function startLoop() {
  let nowMs = 0;
  let tick = (): void => {};
  let periodMs = 0;
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => nowMs,
    every(ms, run) {
      [periodMs, tick] = [ms, run];
      return { cancel() {} };
    },
  };
  const told: number[] = [];
  const lagMs = watchLoop(clock, (ms) => told.push(ms));
  const turn = (lateMs: number): void => {
    nowMs += periodMs + lateMs;
    tick();
  };
  return { lagMs, told, turn };
}

test("the worst turn is remembered for a minute and forgotten after two", () => {
  const { lagMs, turn } = startLoop();
  turn(0);
  expect(lagMs()).toBe(0);
  turn(300);
  turn(7);
  expect(lagMs()).toBe(300);
  for (let passedMs = 0; passedMs < 59_000; passedMs += 200) turn(0);
  expect(lagMs()).toBe(300);
  for (let passedMs = 0; passedMs < 62_000; passedMs += 200) turn(0);
  expect(lagMs()).toBe(0);
});

test("only a turn that clients have felt is told", () => {
  const { told, turn } = startLoop();
  for (const lateMs of [999, 1_000, 0, 12_000]) turn(lateMs);
  expect(told).toEqual([1_000, 12_000]);
});
