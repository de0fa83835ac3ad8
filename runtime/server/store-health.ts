import type { Clock } from "../base/clock.ts";
import type { DegradedMode } from "../observe/degraded.ts";
import type { Log } from "../observe/log.ts";
import type { NodeLife, Reason } from "../observe/node-status.ts";
import type { ScrubReport } from "../store/scrub-figures.ts";
import type { Store, StoreCondition, StoreState } from "../store/store.ts";

/**
 * Carries what the store is like into the status of the node. A store that is wedged takes the node out of rotation at
 * once, and fails `/up` when that has lasted for `livenessStallMs`.
 */
export function reportStore(life: NodeLife, store: Store, livenessStallMs: number): void {
  const state = store.state();
  const condition = store.condition();
  // Before it was ready for the first time, the phase says all there is to say.
  life.setTrouble(life.phase === "recovering" ? null : troubleOf(state, condition));
  const { stall } = condition;
  const isHopeless = stall !== null && stall.forMs >= livenessStallMs;
  life.setEndOfLife(isHopeless ? `${stall.reason} for ${Math.floor(stall.forMs / 1_000)} s` : null);

  const isFull = condition.isDiskFull || (state.at === "readOnly" && state.isFull);
  const modes: Partial<Record<DegradedMode, string | null>> = {
    disk_full: isFull ? "the file system has no room for writes: free some" : null,
    read_only: state.at === "readOnly" ? state.reason : null,
    store_wedged: stall?.reason ?? null,
    index_suspect: condition.isIndexSuspect
      ? "the index is not to be trusted: the next start makes it anew"
      : null,
    no_ballast: condition.isWithoutBallast
      ? "the disk has no room for the file that would help out of a full disk"
      : null,
    scrub_damage: damageOf(store.scrub.report()),
  };
  for (const [mode, reason] of Object.entries(modes)) {
    life.degraded.set(mode as DegradedMode, reason ?? null);
  }
}

/** One line when a mode begins and one when it has ended. */
export function logModes(life: NodeLife, log: Log, clock: Clock): void {
  const since = new Map<DegradedMode, number>();
  life.degraded.listen((mode, reason) => {
    const nowMs = clock.monotonicMs();
    if (reason === null) {
      const ms = Math.round(nowMs - (since.get(mode) ?? nowMs));
      log.info("degraded mode left", { mode, ms });
      return;
    }
    since.set(mode, nowMs);
    log.warn("degraded mode entered", { mode, reason });
  });
}

/** What was found in the last whole cycle or in this one: a cycle without damage ends the mode. */
function damageOf({ cycle, lastCycle }: ScrubReport): string | null {
  const count = (cycle?.damagedArtifacts ?? 0) + (lastCycle?.damagedArtifacts ?? 0);
  return count === 0 ? null : "the scrub has found damaged artifacts: kura inspect scrub has them";
}

function troubleOf(state: StoreState, { stall }: StoreCondition): Reason | null {
  if (stall !== null) {
    return { code: "store_wedged", sentence: `the store is wedged: ${stall.reason}` };
  }
  if (state.at === "readOnly") {
    // Reads go on, and another node cannot give what this one has.
    if (state.isFull) return null;
    return { code: "store_read_only", sentence: `the store is read-only: ${state.reason}` };
  }
  if (state.at !== "recovering") return null;
  return { code: "store_recovering", sentence: "the store is recovering from a failed write" };
}
