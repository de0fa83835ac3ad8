import { expect, test } from "bun:test";
import {
  type LoopStepName,
  LoopSteps,
  noThreadTimes,
} from "../../../../runtime/base/loop-steps.ts";
import { SimClock } from "../../../support/sim-clock.ts";

function pass(clock: SimClock, ms: number): void {
  clock.after(ms, () => {});
  clock.step();
}

test("a step counts with what it held the loop, and a core that others had is told apart", () => {
  const clock = new SimClock();
  let waitedMs = 100;
  let workedMs = 5;
  const thread = { ...noThreadTimes, waitedMs: () => waitedMs, cpuMs: () => workedMs };
  const steps = new LoopSteps(clock, thread);
  const take = (wallMs: number, withoutCoreMs: number): string =>
    steps.run("evict", () => {
      pass(clock, wallMs);
      waitedMs += withoutCoreMs;
      workedMs += (wallMs - withoutCoreMs) / 2;
      return "done";
    });
  expect(take(10, 0)).toBe("done");
  take(30, 25);
  expect(steps.of("evict").longCount).toBe(0);
  take(12, 1);
  expect(steps.of("evict")).toEqual({
    count: 3,
    wallMs: 52,
    longestWallMs: 30,
    longestHeldMs: 11,
    longestCpuMs: 5.5,
    longCount: 1,
    longWaitCount: 1,
    longCollectionCount: 0,
  });
  expect(steps.of("hints").count).toBe(0);
});

test("a step that fails counts too", () => {
  const clock = new SimClock();
  const steps = new LoopSteps(clock, noThreadTimes);
  const fail = (): void =>
    steps.run("filter", () => {
      pass(clock, 20);
      throw new Error("no");
    });
  expect(fail).toThrow("no");
  // Without a clock of the thread nobody knows what it did.
  const { longCount, longWaitCount } = steps.of("filter");
  expect([longCount, longWaitCount]).toEqual([1, 0]);
});

test("a long step tells whether it worked, waited or had the collector in it", () => {
  const clock = new SimClock();
  let workedMs = 0;
  let heapBytes = 100;
  const thread = { ...noThreadTimes, cpuMs: () => workedMs, heapBytes: () => heapBytes };
  const steps = new LoopSteps(clock, thread);
  const take = (name: LoopStepName, ofIt: { workMs: number; heapBytes: number }): void => {
    steps.run(name, () => {
      pass(clock, 20);
      workedMs += ofIt.workMs;
      heapBytes = ofIt.heapBytes;
    });
  };
  take("evict", { workMs: 11, heapBytes: 110 });
  take("evict", { workMs: 19, heapBytes: 109 });
  take("evict", { workMs: 9, heapBytes: 109 });
  // It may have waited for threads of the collector.
  take("evict", { workMs: 9, heapBytes: 108 });
  const { longCount, longWaitCount, longCollectionCount, longestCpuMs } = steps.of("evict");
  expect([longCount, longWaitCount, longCollectionCount, longestCpuMs]).toEqual([4, 1, 2, 11]);
  // Collecting is what this one is for.
  take("collect", { workMs: 18, heapBytes: 50 });
  const collect = steps.of("collect");
  expect([collect.longCount, collect.longCollectionCount, collect.longestCpuMs]).toEqual([
    1, 0, 18,
  ]);
});
