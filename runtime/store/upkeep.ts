import { type Clock, sleep, type Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { asFault, Fault } from "../base/fault.ts";
import { MiB, minute, second } from "../base/units.ts";
import { Ballast } from "./ballast.ts";
import type { IndexHome } from "./index.ts";
import type { LargeExpectation, Maintenance } from "./maintenance.ts";
import type { StoreNote } from "./open.ts";
import { repairIndex } from "./repair-index.ts";
import type { Running, RunningParts } from "./running.ts";
import type { Space } from "./space.ts";
import { StallWatch } from "./stall.ts";
import type { StoreCondition, StoreState } from "./store.ts";

const usualStallMsMax = 10 * second;
/** A check takes turns with those beside it, so this only ends what would never end: a silent Worker is noticed first. */
const checkMsMax = 10 * minute;
/** Between two attempts to start on a full disk. */
const startPauseMs = 1 * second;
/** A disk that was full is said to be so until this much more fits: one put comes and goes at the edge. */
const leavingBytes = MiB;

export type UpkeepOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly home: IndexHome;
  readonly dataDir: string;
  readonly space: Space;
  readonly ballastBytes: number;
  readonly lookMs: number;
  readonly stallMsMax?: number;
  /** What is in use now: both are replaced when the store heals. */
  readonly parts: () => {
    readonly running: Running | null;
    readonly maintenance: Maintenance | null;
  };
  readonly state: () => StoreState;
  readonly note: StoreNote;
};

/** Looks after an open store a few times a second: whether it waits in vain, whether its disk is full, its ballast. */
export class Upkeep {
  readonly stalls: StallWatch;
  readonly ballast: Ballast;
  readonly #options: UpkeepOptions;
  #timer: Timer | null = null;
  #isDiskFull = false;

  constructor(options: UpkeepOptions) {
    const { clock, note, parts, state, ballastBytes } = options;
    this.#options = options;
    const maintenance = (): Maintenance | null => parts().maintenance;
    this.ballast = new Ballast({ ...options, sizeBytes: ballastBytes, maintenance });
    this.stalls = new StallWatch({
      clock,
      note,
      logWaitMsMax: options.stallMsMax ?? usualStallMsMax,
      logWaitsSinceMs: () => parts().running?.journal.waitsSinceMs ?? null,
      maintenanceSilentSinceMs: () => maintenance()?.silentSinceMs() ?? null,
      onLogStall: (fault) => parts().running?.committer.pause(fault),
      // What became of the log meanwhile is healed by other means.
      onLogAnswer: () => state().at === "serving" && parts().running?.committer.resume(),
    });
  }

  begin(): void {
    const { clock, lookMs } = this.#options;
    if (lookMs > 0) this.#timer ??= clock.every(lookMs, () => this.#look());
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /**
   * Repeats what fails for want of room on the disk and for nothing else, with the space of the ballast: a node that is
   * started on a full disk comes up by itself once there is room.
   */
  async whenThereIsRoom(run: () => Promise<void>): Promise<void> {
    const { clock, state, note } = this.#options;
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (state().at === "closed" || !this.#isForWantOfRoom(error)) throw error;
        note("no room to start", { reason: asFault(error).message });
        this.ballast.release();
      }
      await sleep(clock, startPauseMs);
      if (state().at === "closed") throw new Fault("unavailable", "The store is closing");
    }
  }

  /** What the committer and the reader are given of it. */
  tools(): Pick<RunningParts, "checkLarge" | "repairIndex" | "makeRoom"> {
    const { ballast } = this;
    return {
      checkLarge: (path, manifest) => this.#checkLarge(path, manifest),
      repairIndex: (view, batch) => repairIndex(view, batch, { ...this.#options, ballast }),
      makeRoom: () => ballast.release(),
    };
  }

  /** As of the last look. */
  condition(isIndexSuspect: boolean): StoreCondition {
    return {
      stall: this.stalls.stall,
      stallCount: this.stalls.count,
      isDiskFull: this.#isDiskFull,
      isIndexSuspect,
      isWithoutBallast: this.ballast.isMissing,
    };
  }

  /** Whether a large file is whole. @throws Fault "unavailable" when the Worker does not answer. */
  async #checkLarge(path: string, expected: LargeExpectation): Promise<boolean> {
    const check = this.#options.parts().maintenance?.checkLarge(path, expected);
    if (check === undefined) return false;
    return await this.stalls.guard(check, "maintenance", checkMsMax);
  }

  /** SQLite has other names for it as well. */
  #isForWantOfRoom(error: unknown): boolean {
    const { code } = asFault(error);
    return code === "full" || (code === "unavailable" && this.#options.space.isDiskShort(0));
  }

  #look(): void {
    this.stalls.look();
    // A disk that does not answer is not asked anything that the loop would have to wait for.
    if (this.stalls.stall !== null) return;
    this.#isDiskFull = this.#options.space.isDiskShort(this.#isDiskFull ? leavingBytes : 0);
    if (this.ballast.isMissing) void this.ballast.tend();
  }
}
