import { ByteBudget } from "../base/budget.ts";
import type { Clock } from "../base/clock.ts";
import type { Fault } from "../base/fault.ts";
import { SharePool } from "../base/shares.ts";

/** Disk space for what is not an artifact yet: `KURA_TMP_DIR_MAX_BYTES`. */
export type Scratch = {
  /** Bodies on their way into files of their own, and what came of uploads that broke off. */
  readonly staging: ByteBudget;
  /** Parts of uploads that are not complete. */
  readonly parts: ByteBudget;
};

/** Parts wait for hours and may not keep everybody else from uploading. */
const stagingShareMin = 1 / 4;
/** Nobody waits for disk: whoever holds it may do so for a long time. */
const waitersMax = 0;

export function createScratch(totalBytes: number, clock: Clock): Scratch {
  const pool = new SharePool(totalBytes, clock);
  const minBytes = Math.floor(totalBytes * stagingShareMin);
  const open = (own: number, max: number, what: string): ByteBudget =>
    new ByteBudget(max, clock, waitersMax, { pool, minBytes: own, what });
  const rest = "disk space for what is not stored yet (KURA_TMP_DIR_MAX_BYTES)";
  return {
    staging: open(minBytes, totalBytes, rest),
    parts: open(0, totalBytes - minBytes, rest),
  };
}

/** Takes bytes now or says why not. */
export function refuseScratch(budget: ByteBudget | null, bytes: number): Fault | null {
  return budget === null || budget.tryTake(bytes) ? null : budget.overloaded(bytes);
}
