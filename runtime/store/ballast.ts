import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { asFault } from "../base/fault.ts";
import { minute } from "../base/units.ts";
import type { Maintenance } from "./maintenance.ts";
import type { StoreNote } from "./open.ts";

/** It is laid in only where this many of its size are free: the reserve of puts and two groups fit beside it. */
const sizesFreeMin = 4;

/** After an attempt that failed, such as for a quota that free space does not show. */
const pauseMs = 1 * minute;

export type BallastOptions = {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly dataDir: string;
  /** 0 for none. */
  readonly sizeBytes: number;
  readonly maintenance: () => Maintenance | null;
  readonly note: StoreNote;
};

/**
 * A file that takes space for one purpose: to be removed when the disk is full and the index has to write all the same.
 * It is laid in again when there is room.
 */
export class Ballast {
  readonly #options: BallastOptions;
  readonly #path: string;
  #state: "unknown" | "there" | "missing" = "unknown";
  #isTending = false;
  #releases = 0;
  #notBeforeMs = 0;

  constructor(options: BallastOptions) {
    this.#options = options;
    this.#path = `${options.dataDir}/ballast`;
  }

  /** Whether there should be one and is none. */
  get isMissing(): boolean {
    return this.#state === "missing";
  }

  /** Gives its space to the index. */
  release(): void {
    const { disk, sizeBytes, note } = this.#options;
    if (sizeBytes === 0) return;
    this.#releases += 1;
    const wasThere = disk.remove(this.#path);
    this.#state = "missing";
    if (wasThere) note("ballast released", { bytes: sizeBytes });
  }

  /** Lays it in when it is missing and there is room. Never rejects: without it the node serves as well. */
  async tend(): Promise<void> {
    const { clock, sizeBytes, maintenance, note } = this.#options;
    const worker = maintenance();
    if (sizeBytes === 0 || this.#state === "there" || this.#isTending || worker === null) return;
    if (clock.monotonicMs() < this.#notBeforeMs) return;
    this.#isTending = true;
    const releases = this.#releases;
    try {
      if (this.#hasRoom()) {
        await worker.makeBallast(this.#path, sizeBytes);
        // Released while it was made: perhaps the file has no name any more. The next look knows.
        this.#state = this.#releases === releases ? "there" : "missing";
      } else this.#state = "missing";
    } catch (error) {
      this.#state = "missing";
      this.#notBeforeMs = clock.monotonicMs() + pauseMs;
      note("ballast not laid in", { reason: asFault(error).message });
    } finally {
      this.#isTending = false;
    }
  }

  /** What an earlier run has laid in counts as free: it is only looked at. */
  #hasRoom(): boolean {
    const { disk, dataDir, sizeBytes } = this.#options;
    if (disk.sizeBytes(this.#path) === sizeBytes) return true;
    return disk.freeBytes(dataDir) >= sizesFreeMin * sizeBytes;
  }
}
