import { MiB } from "../base/units.ts";

/**
 * The program itself: 20 MiB are in use when it has just begun to listen and 40 after some work, beside all that is
 * counted by a budget (measured on 2026-11-22).
 */
export const programBytes = 48 * MiB;

/** What the node may hold beside the budgets that have a setting. */
export type MemoryPlan = {
  /** Of large bodies, in the page cache of the system: what is not on disk yet. */
  readonly unsyncedBytes: number;
};

/** It shrinks with the hard limit, so that all budgets fit under it. */
export function planMemory(hardBytes: number): MemoryPlan {
  return {
    unsyncedBytes: Math.min(256 * MiB, Math.max(8 * MiB, Math.floor(hardBytes / 8))),
  };
}
