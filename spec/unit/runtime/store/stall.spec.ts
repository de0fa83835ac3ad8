import { expect, test } from "bun:test";
import { StallWatch } from "../../../../runtime/store/stall.ts";
import { SteppedClock } from "../../../support/server.ts";

/** A watch whose log may wait for 2 s, so that the Worker may be silent for 6 s. */
function startWatch() {
  const clock = new SteppedClock();
  const told: string[] = [];
  const state = { logSinceMs: null as number | null, silentSinceMs: null as number | null };
  const watch = new StallWatch({
    clock,
    note: (event, { by }) => told.push(`${event} ${by}`),
    logWaitMsMax: 2_000,
    logWaitsSinceMs: () => state.logSinceMs,
    maintenanceSilentSinceMs: () => state.silentSinceMs,
    onLogStall: (fault) => told.push(fault.code),
    onLogAnswer: () => told.push("answer"),
  });
  const lookAfter = (stepMs: number): string | null => {
    clock.step(stepMs);
    watch.look();
    return watch.stall?.by ?? null;
  };
  return { clock, told, state, watch, lookAfter };
}

const refusal = (watch: StallWatch): string => {
  try {
    watch.throwIfStalled();
    return "none";
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test("a log that waits for too long stalls the store, once, until it is answered", () => {
  const { clock, told, state, watch, lookAfter } = startWatch();
  state.logSinceMs = clock.monotonicMs();
  expect([lookAfter(1_999), refusal(watch)]).toEqual([null, "none"]);
  expect([lookAfter(1), refusal(watch)]).toEqual(["log", "unavailable"]);
  expect([lookAfter(5_000), watch.stall?.forMs]).toEqual(["log", 7_000]);
  state.logSinceMs = clock.monotonicMs();
  expect([lookAfter(10), refusal(watch)]).toEqual([null, "none"]);
  expect(told).toEqual(["wedged log", "unavailable", "answering again log", "answer"]);
  expect(watch.count).toBe(1);
});

test("a Worker that is silent stalls the store but not its writes, and lets go who waits for it", async () => {
  const { clock, told, state, watch, lookAfter } = startWatch();
  const check = watch.guard(new Promise<boolean>(() => {}), "maintenance", 60_000);
  const write = watch.guard(new Promise<boolean>(() => {}), "disk", 60_000);
  const ended: string[] = [];
  check.catch(({ code }) => ended.push(`check ${code}`));
  write.catch(({ code }) => ended.push(`write ${code}`));
  state.silentSinceMs = clock.monotonicMs();
  expect(lookAfter(5_999)).toBe(null);
  expect([lookAfter(1), refusal(watch)]).toEqual(["maintenance", "none"]);
  await Promise.resolve();
  expect(ended).toEqual(["check unavailable"]);
  state.silentSinceMs = null;
  expect(lookAfter(1)).toBe(null);
  expect(told).toEqual(["wedged maintenance", "answering again maintenance"]);
  lookAfter(60_000);
  await Promise.resolve();
  expect(ended).toEqual(["check unavailable", "write unavailable"]);
});

test("a call that is answered in time passes on what it brought", async () => {
  const { watch, lookAfter } = startWatch();
  expect(await watch.guard(Promise.resolve(7), "disk", 1)).toBe(7);
  expect(watch.guard(Promise.reject(new Error("EIO")), "disk", 1)).rejects.toThrow("EIO");
  expect(lookAfter(10_000)).toBe(null);
});
