import { expect, test } from "bun:test";
import { LoopSteps, noThreadTimes } from "../../../../runtime/base/loop-steps.ts";
import { SimClock } from "../../../support/sim-clock.ts";

function pass(clock: SimClock, ms: number): void {
  clock.after(ms, () => {});
  clock.step();
}

test("a step counts with what it held the loop, and a core that others had is told apart", () => {
  const clock = new SimClock();
  let waitedMs = 100;
  let workedMs = 5;
  const thread = { waitedMs: () => waitedMs, cpuMs: () => workedMs };
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
  expect(steps.of("filter").longCount).toBe(1);
});
