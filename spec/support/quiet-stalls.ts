import type { Clock } from "../../runtime/base/clock.ts";
import { StallWatch } from "../../runtime/store/stall.ts";

/** A watch for what is tried without a whole store: nothing ever stalls, since nobody looks. */
export function quietStalls(clock: Clock): StallWatch {
  return new StallWatch({
    clock,
    note: () => {},
    logWaitMsMax: 1,
    logWaitsSinceMs: () => null,
    maintenanceSilentSinceMs: () => null,
    onLogStall: () => {},
    onLogAnswer: () => {},
  });
}
