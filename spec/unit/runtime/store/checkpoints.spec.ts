import { expect, test } from "bun:test";
import { Fault } from "../../../../runtime/base/fault.ts";
import { MiB } from "../../../../runtime/base/units.ts";
import { Checkpoints } from "../../../../runtime/store/checkpoints.ts";
import { drive, SimClock, turn } from "../../../support/sim-clock.ts";

/** Checkpoints that end when they are told to, over a log of a size that is told. */
function makeCheckpoints() {
  const clock = new SimClock();
  const log = { bytes: 0 };
  const ends: { succeed: () => void; fail: (error: unknown) => void }[] = [];
  const failures: string[] = [];
  const checkpoints = new Checkpoints({
    clock,
    walBytesMax: 16 * MiB,
    walBytes: () => log.bytes,
    checkpoint: () =>
      new Promise<void>((resolve, reject) => ends.push({ succeed: resolve, fail: reject })),
    onFailure: (reason) => failures.push(reason),
  });
  return { checkpoints, clock, log, ends, failures };
}

test("a checkpoint begins once the log has grown enough, and one at a time", async () => {
  const { checkpoints, log, ends } = makeCheckpoints();
  checkpoints.afterGroup();
  expect(ends.length).toBe(0);
  log.bytes = 9 * MiB;
  checkpoints.afterGroup();
  checkpoints.afterGroup();
  expect(ends.length).toBe(1);
  ends[0]?.succeed();
  await turn();
  checkpoints.afterGroup();
  expect(ends.length).toBe(1);
  log.bytes = 18 * MiB;
  checkpoints.afterGroup();
  expect(ends.length).toBe(2);
});

test("a group below the limit is not held", async () => {
  const { checkpoints, clock, log } = makeCheckpoints();
  log.bytes = 15 * MiB;
  expect(await drive(clock, checkpoints.beforeGroup())).not.toBeNull();
  expect(clock.monotonicMs()).toBe(0);
});

test("a group above the limit is held for a checkpoint that begins then, for 50 ms at most", async () => {
  const { checkpoints, clock, log, ends } = makeCheckpoints();
  log.bytes = 20 * MiB;
  await drive(clock, checkpoints.beforeGroup());
  expect(clock.monotonicMs()).toBe(50);
  expect(ends.length).toBe(1);
});

test("a failed checkpoint is told once, and none follows until the index was opened anew", async () => {
  const { checkpoints, clock, log, ends, failures } = makeCheckpoints();
  log.bytes = 20 * MiB;
  checkpoints.afterGroup();
  ends[0]?.fail(new Fault("unavailable", "the disk failed"));
  await turn();
  expect(failures.length).toBe(1);
  checkpoints.afterGroup();
  await drive(clock, checkpoints.beforeGroup());
  expect(ends.length).toBe(1);
  checkpoints.reset();
  checkpoints.afterGroup();
  expect(ends.length).toBe(2);
});

test("settling waits for the checkpoint under way", async () => {
  const { checkpoints, log, ends } = makeCheckpoints();
  log.bytes = 9 * MiB;
  checkpoints.afterGroup();
  let isSettled = false;
  void checkpoints.settle().then(() => {
    isSettled = true;
  });
  await turn();
  expect(isSettled).toBe(false);
  ends[0]?.succeed();
  await turn();
  expect(isSettled).toBe(true);
});
