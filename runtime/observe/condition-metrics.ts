import { degradedModes } from "./degraded.ts";
import type { Metrics } from "./metrics.ts";
import type { NodeStatus } from "./node-status.ts";

/** What `kura_store_state` tells apart. */
export const storeStates = ["recovering", "serving", "read_only", "closed"] as const;
export type StoreStateName = (typeof storeStates)[number];

/** Figures of how well the node does; `null` while there is no store yet. */
export type StoreSigns = {
  readonly state: StoreStateName;
  readonly isWedged: boolean;
  readonly stallCount: number;
};

/** Whether the node does what it should, in figures. `signs` returns null while there is no store. */
export function addConditionFigures(
  metrics: Metrics,
  status: NodeStatus,
  signs: () => StoreSigns | null,
): void {
  metrics.states("kura_degraded", "1 while the node is in this degraded mode.", {
    label: "mode",
    values: degradedModes,
    isOn: (mode) => status.degraded.holds(mode),
  });
  metrics.states("kura_store_state", "1 for the state that the store is in.", {
    label: "state",
    values: storeStates,
    isOn: (state) => signs()?.state === state,
  });
  metrics.gauge("kura_store_wedged", "1 while the store waits for what does not answer.", () => {
    const found = signs();
    return found === null ? null : Number(found.isWedged);
  });
  metrics.counter("kura_store_stalls_total", "Times that the store was wedged.", () => {
    return signs()?.stallCount ?? null;
  });
  metrics.gauge(
    "kura_event_loop_lag_seconds",
    "Longest time that the loop was kept from turning, of the last minute or two.",
    () => status.loopLagMs / 1_000,
  );
}
