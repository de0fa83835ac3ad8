import { KiB, MiB } from "../../runtime/base/units.ts";

/** CPU time of Kura over that of nginx, for one request. @source design, "Speed we mean to reach". */
const getGoals: ReadonlyMap<number, number> = new Map([
  [1 * KiB, 1.4],
  [64 * KiB, 1.7],
  [1 * MiB, 1.3],
  [64 * MiB, 1.1],
]);
const putGoals: ReadonlyMap<number, number> = new Map([[1 * KiB, 1.3]]);

/** Null where none is set: the ratio is then reported and judged by nobody. */
export function ratioGoal(operation: "get" | "put", bodyBytes: number): number | null {
  return (operation === "get" ? getGoals : putGoals).get(bodyBytes) ?? null;
}

/** "hit", or by how much it was missed; a miss of more than 25 % keeps the issue open. */
export function judgeRatio(ratio: number, goal: number | null): string {
  if (goal === null) return "no goal";
  if (ratio <= goal) return `goal <= ${goal}: hit`;
  return `goal <= ${goal}: **miss by ${Math.round(100 * (ratio / goal - 1))} %**`;
}

/** CPU time of one call in microseconds, by operation and size. @source design, "Speed we mean to reach". */
const callGoals: ReadonlyMap<string, number> = new Map([
  ["GetActionResult", 20],
  ["FindMissingBlobs", 70],
  ["BatchReadBlobs", 15],
  [`Read ${64 * MiB}`, 40_000],
  [`Write ${64 * MiB}`, 190_000],
]);

/** Null where none is set. */
export function callGoalUs(operation: string, sizeBytes: number): number | null {
  return callGoals.get(operation) ?? callGoals.get(`${operation} ${sizeBytes}`) ?? null;
}

/** What CPU time over that of bazel-remote may be at most: below it for a unary call, a tenth above for a stream. */
export function peerRatioMax(operation: string): {
  readonly ratio: number;
  readonly isBelow: boolean;
} {
  const isStream = operation === "Read" || operation === "Write";
  return isStream ? { ratio: 1.1, isBelow: false } : { ratio: 1, isBelow: true };
}
