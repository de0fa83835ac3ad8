import type { Clock } from "../base/clock.ts";
import { day, minute } from "../base/units.ts";
import type { Leases } from "./leases.ts";
import { pointerAgeMsMax } from "./pointer-age.ts";
import type { ReadMarks } from "./read-marks.ts";
import { kinds, type Manifest, manifestFlags } from "./store.ts";
import { versionOfWall } from "./version.ts";

/** A key that was deleted is told to peers for so long. @source design.md 5. */
const deletedMsMax = 30 * day;
/** What was read may be kept up to this share of the capacity; beyond it one byte is kept for each that goes. */
const creditShare = 0.5;
/** Deletes are small, but a client can make as many as it likes. */
const deletedShare = 1 / 16;
/** The newest data that a start found is kept for a while: leases from before it are not known. @source design.md 2. */
const bandMs = 30 * minute;
const bandShare = 1 / 3;

export type KeepCandidate = Pick<Manifest, "id" | "sizeBytes" | "version" | "flags" | "kind">;

export type KeepOptions = {
  readonly clock: Clock;
  readonly leases: Leases;
  readonly marks: ReadMarks;
  readonly capacityBytes: number;
};

/** Why something stays when its file goes; "gone" when it does not. "kept": all of its file that counts stays. */
export type Verdict = "leased" | "read" | "deleted" | "band" | "kept" | "gone";

/**
 * What is kept of old data: what a client was told of, what was read lately, and deletes that peers may not have heard
 * of. Keeping what was read is paid from a credit that only grows by what goes, so that room is made whatever is read.
 */
export class KeepPolicy {
  readonly #options: KeepOptions;
  #creditBytes: number;
  #bandBytes = 0;
  #deletedBytes: number;
  #band = { start: 0, end: -1 };
  #bandEndMs = 0;

  constructor(options: KeepOptions) {
    this.#options = options;
    this.#creditBytes = options.capacityBytes * creditShare;
    this.#deletedBytes = options.capacityBytes * deletedShare;
  }

  /** Nothing can be written again now: whatever is in the way goes. */
  isForced = false;

  /** The store was started with data up to version `end`; what is not below `start` is the newest of it. */
  startBand({ start, end }: { start: number; end: number }): void {
    const { clock, capacityBytes } = this.#options;
    this.#band = { start, end };
    this.#bandBytes = capacityBytes * bandShare;
    this.#bandEndMs = clock.monotonicMs() + bandMs;
  }

  judge(candidate: KeepCandidate, lengthBytes: number): Verdict {
    const { leases, marks } = this.#options;
    const { id, flags } = candidate;
    if ((flags & manifestFlags.deleted) !== 0) {
      const isKept = this.#ageMs(candidate) < deletedMsMax && this.#deletedBytes >= lengthBytes;
      return isKept ? "deleted" : "gone";
    }
    if (!this.isForced && leases.keeps(id)) return "leased";
    if (this.#isForgotten(candidate)) return "gone";
    if (this.isForced) return "gone";
    const level = marks.levelOf(id);
    // The second half of the credit is for what was read again and again.
    const isShort = this.#creditBytes < (this.#options.capacityBytes * creditShare) / 2;
    if (level > (isShort ? 1 : 0) && this.#creditBytes >= lengthBytes) return "read";
    return this.#isInBand(candidate, lengthBytes) ? "band" : "gone";
  }

  noteKept(verdict: Verdict, lengthBytes: number): void {
    if (verdict === "read") this.#creditBytes -= lengthBytes;
    if (verdict === "band") this.#bandBytes -= lengthBytes;
    if (verdict === "deleted") this.#deletedBytes -= lengthBytes;
  }

  /** Everything was looked at and stayed: from here on only leases keep it. False when that was so already. */
  spendAll(): boolean {
    const leftBytes = this.#creditBytes + this.#bandBytes + this.#deletedBytes;
    [this.#creditBytes, this.#bandBytes, this.#deletedBytes] = [0, 0, 0];
    return leftBytes > 0;
  }

  noteFreed(bytes: number): void {
    const most = this.#options.capacityBytes * creditShare;
    this.#creditBytes = Math.min(most, this.#creditBytes + bytes);
    const mostDeleted = this.#options.capacityBytes * deletedShare;
    this.#deletedBytes = Math.min(mostDeleted, this.#deletedBytes + bytes * deletedShare);
  }

  #isForgotten(candidate: KeepCandidate): boolean {
    const { marks } = this.#options;
    if (candidate.kind === kinds.blob || this.#ageMs(candidate) < pointerAgeMsMax) return false;
    return marks.levelOf(candidate.id) === 0;
  }

  #isInBand({ version }: KeepCandidate, lengthBytes: number): boolean {
    const { start, end } = this.#band;
    if (version < start || version > end || this.#bandBytes < lengthBytes) return false;
    return this.#options.clock.monotonicMs() < this.#bandEndMs;
  }

  #ageMs({ version }: KeepCandidate): number {
    return (versionOfWall(this.#options.clock.wallMs()) - version) / versionOfWall(1);
  }
}
