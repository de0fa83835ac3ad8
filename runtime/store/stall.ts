import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import type { StoreNote } from "./open.ts";
import type { Stall } from "./store.ts";

/** A Worker answers between two steps of its work, and the longest one is a checkpoint, with three syncs of its own. */
const maintenancePatience = 3;

export type StallWatchOptions = {
  readonly clock: Clock;
  readonly note: StoreNote;
  /** The log may wait for the disk this long. */
  readonly logWaitMsMax: number;
  /** Since when the log waits for the disk, on the monotonic clock; null when it does not. */
  readonly logWaitsSinceMs: () => number | null;
  /** Since when the Worker owes an answer. */
  readonly maintenanceSilentSinceMs: () => number | null;
  /** The log has come to a halt: whoever waits for it should wait no longer. */
  readonly onLogStall: (fault: Fault) => void;
  readonly onLogAnswer: () => unknown;
};

type Wait = {
  readonly for: "disk" | "maintenance";
  readonly dueMs: number;
  readonly reject: (fault: Fault) => void;
};

/**
 * Notices that the disk or the Worker does not answer any more, which no error tells: a sync that hangs looks like one
 * that is about to end. Nothing happens by itself: somebody has to `look` a few times a second.
 */
export class StallWatch {
  readonly #options: StallWatchOptions;
  readonly #waits = new Set<Wait>();
  #stall: Stall | null = null;
  #count = 0;

  constructor(options: StallWatchOptions) {
    this.#options = options;
  }

  /** What the store waits for in vain, as of the last look. */
  get stall(): Stall | null {
    return this.#stall;
  }

  /** Stalls since the start of the process. */
  get count(): number {
    return this.#count;
  }

  /** @throws Fault "unavailable" when no write can be taken now. */
  throwIfStalled(): void {
    if (this.#stall?.by === "log") throw refusalOf(this.#stall);
  }

  look(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const before = this.#stall;
    const now = this.#find(nowMs);
    this.#stall = now;
    this.#endOverdue(nowMs);
    if (now !== null && before?.by !== now.by) this.#enter(now);
    if (before !== null && before.by !== now?.by) this.#leave(before);
  }

  /**
   * The same promise, which is given up after `withinMs`, or when the Worker is silent and was to answer: the caller goes
   * on with a Fault "unavailable", and what was waited for goes on as well.
   */
  guard<T>(call: Promise<T>, from: Wait["for"], withinMs: number): Promise<T> {
    const dueMs = this.#options.clock.monotonicMs() + withinMs;
    return new Promise((resolve, reject) => {
      const wait: Wait = { for: from, dueMs, reject };
      this.#waits.add(wait);
      call.then(
        (value) => {
          this.#waits.delete(wait);
          resolve(value);
        },
        (error: unknown) => {
          this.#waits.delete(wait);
          reject(error);
        },
      );
    });
  }

  #find(nowMs: number): Stall | null {
    const { logWaitMsMax, logWaitsSinceMs, maintenanceSilentSinceMs } = this.#options;
    const logMs = nowMs - (logWaitsSinceMs() ?? nowMs);
    if (logMs >= logWaitMsMax) {
      return { by: "log", forMs: logMs, reason: "the disk does not answer a write of the log" };
    }
    const silentMs = nowMs - (maintenanceSilentSinceMs() ?? nowMs);
    if (silentMs < maintenancePatience * logWaitMsMax) return null;
    return { by: "maintenance", forMs: silentMs, reason: "the maintenance Worker does not answer" };
  }

  #enter(stall: Stall): void {
    this.#count += 1;
    this.#options.note("wedged", {
      by: stall.by,
      reason: stall.reason,
      ms: Math.round(stall.forMs),
    });
    if (stall.by === "log") this.#options.onLogStall(refusalOf(stall));
  }

  #leave(stall: Stall): void {
    this.#options.note("answering again", { by: stall.by });
    if (stall.by === "log") this.#options.onLogAnswer();
  }

  #endOverdue(nowMs: number): void {
    const isWorkerSilent = this.#stall?.by === "maintenance";
    for (const wait of this.#waits) {
      const isInVain = isWorkerSilent && wait.for === "maintenance";
      if (nowMs < wait.dueMs && !isInVain) continue;
      this.#waits.delete(wait);
      const who = wait.for === "disk" ? "disk" : "maintenance Worker";
      wait.reject(new Fault("unavailable", `The store cannot go on: the ${who} does not answer`));
    }
  }
}

function refusalOf({ reason }: Stall): Fault {
  return new Fault("unavailable", `The store does not take writes now: ${reason}`);
}
