import { loopStepNames } from "../../runtime/base/loop-steps.ts";
import { second } from "../../runtime/base/units.ts";
import type { NodeMetrics } from "./node-metrics.ts";

/** What one kind of maintenance did on the loop of a node since its start. */
export type HeldLoop = {
  readonly step: string;
  readonly count: number;
  readonly meanMs: number;
  readonly longestWallMs: number;
  readonly longestHeldMs: number;
  readonly longestCpuMs: number;
  readonly longCount: number;
  readonly longWaitCount: number;
  readonly longCollectionCount: number;
};

/** The kinds that ran at all. */
export function heldLoop(metrics: NodeMetrics): HeldLoop[] {
  return loopStepNames.flatMap((step) => {
    const of = (name: string): number => metrics.of(`kura_loop_${name}{step="${step}"}`);
    const count = of("steps_total");
    if (count === 0) return [];
    return {
      step,
      count,
      meanMs: (of("step_seconds_total") * second) / count,
      longestWallMs: of("longest_step_seconds") * second,
      longestHeldMs: of("longest_hold_seconds") * second,
      longestCpuMs: of("longest_work_seconds") * second,
      longCount: of("long_steps_total"),
      longWaitCount: of("long_step_waits_total"),
      longCollectionCount: of("long_step_collections_total"),
    };
  });
}

/** The most that one step worked: what the disk and other machines take of the cores is not its doing. */
export function longestStepWorkMs(held: readonly HeldLoop[]): number {
  return Math.max(0, ...held.map(({ longestCpuMs }) => longestCpuMs));
}

/** Of the store's own steps, the part that took over 10 ms. */
export function longStoreStepShare(held: readonly HeldLoop[]): number {
  const own = held.filter(({ step }) => step !== "collect");
  const [count, long] = own.reduce(([a, b], each) => [a + each.count, b + each.longCount], [0, 0]);
  return long / Math.max(1, count);
}

export function describeHeldLoop(held: readonly HeldLoop[]): string {
  const one = (each: HeldLoop): string =>
    `${each.step} ${each.count} x ${each.meanMs.toFixed(2)} ms, longest ${each.longestHeldMs.toFixed(1)} ` +
    `(${each.longestWallMs.toFixed(1)} with waits for a core, ${each.longestCpuMs.toFixed(1)} of work), ${each.longCount} over 10 ms ` +
    `(${each.longWaitCount} waited, ${each.longCollectionCount} collected)`;
  return `steps on the loop: ${held.map(one).join("; ")}`;
}
