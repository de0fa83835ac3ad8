import { type Clock, sleep } from "../base/clock.ts";

/** Short enough that a drain without load ends at once, long enough to cost nothing. */
const lookEveryMs = 10;

/**
 * Waits until nothing is in flight or the deadline has passed; true when everything finished.
 * `pending` counts requests up to the last byte of their answers.
 */
export async function waitUntilIdle({
  clock,
  pending,
  withinMs,
}: {
  clock: Clock;
  pending: () => number;
  withinMs: number;
}): Promise<boolean> {
  const startMs = clock.monotonicMs();
  while (pending() > 0) {
    if (clock.monotonicMs() - startMs >= withinMs) return false;
    await sleep(clock, lookEveryMs);
  }
  return true;
}
