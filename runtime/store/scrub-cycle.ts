import type { StoreFiles } from "./files.ts";
import type { EndedCycle, ScrubPosition } from "./scrub-hint.ts";

export type ScrubTarget = { readonly file: number; readonly isLarge: boolean };

/**
 * One walk of the scrub over the files that there were when it began: segments in order, then large files. What is
 * written meanwhile belongs to the next cycle, or a busy node would never see the end of one.
 */
export class ScrubCycle {
  readonly startedMs: number;
  readonly isFullSpeed: boolean;
  /** Bytes of data files at the start: what is removed meanwhile is never reached. */
  readonly totalBytes: number;
  /** Offset in the file under way, and the start of a damaged stretch in it whose end is not known yet. */
  atBytes = 0;
  badFromBytes: number | null = null;
  doneBytes = 0;
  damagedCount = 0;
  readonly #fileHigh: number;
  readonly #segments: readonly number[];
  readonly #large: readonly number[];
  #next = 0;

  constructor(
    files: StoreFiles,
    start: { nowMs: number; isFullSpeed: boolean; position: ScrubPosition | null },
  ) {
    const { position } = start;
    this.startedMs = position?.startedMs ?? start.nowMs;
    this.isFullSpeed = start.isFullSpeed;
    this.#fileHigh = position?.fileHigh ?? files.high;
    const isOurs = (file: number): boolean => file <= this.#fileHigh;
    this.#segments = files.segmentNumbers().filter(isOurs);
    this.#large = Array.from(Float64Array.from(files.largeNumbers()).sort()).filter(isOurs);
    this.totalBytes = Math.max(files.usedBytes, position?.doneBytes ?? 0);
    if (position !== null) this.#goTo(position);
  }

  /** Between two files: nothing of the one under way was read yet. */
  get isBetweenFiles(): boolean {
    return this.atBytes === 0;
  }

  /** The file under way or, when that was removed, the next one that is still there; null at the end. */
  target(isThere: (file: number) => boolean): ScrubTarget | null {
    for (;;) {
      const target = this.#targetAt(this.#next);
      if (target === null || isThere(target.file)) return target;
      this.endFile();
    }
  }

  /** Goes on to the next file. */
  endFile(): void {
    this.#next += 1;
    this.atBytes = 0;
    this.badFromBytes = null;
  }

  /** Where a later process should go on; null at the end. `fromStart`: of the file under way. */
  position(fromStart: boolean): ScrubPosition | null {
    const target = this.#targetAt(this.#next);
    if (target === null) return null;
    const { startedMs, doneBytes, damagedCount } = this;
    const atBytes = fromStart ? 0 : (this.badFromBytes ?? this.atBytes);
    return { ...target, atBytes, fileHigh: this.#fileHigh, startedMs, doneBytes, damagedCount };
  }

  ended(endedMs: number): EndedCycle {
    const { startedMs, doneBytes, damagedCount } = this;
    return { startedMs, endedMs, doneBytes, damagedCount };
  }

  #targetAt(number: number): ScrubTarget | null {
    const segment = this.#segments[number];
    if (segment !== undefined) return { file: segment, isLarge: false };
    const large = this.#large[number - this.#segments.length];
    return large === undefined ? null : { file: large, isLarge: true };
  }

  #goTo({ isLarge, file, atBytes, doneBytes, damagedCount }: ScrubPosition): void {
    this.doneBytes = doneBytes;
    this.damagedCount = damagedCount;
    const files = isLarge ? this.#large : this.#segments;
    const found = files.findIndex((number) => number >= file);
    const place = found < 0 ? files.length : found;
    this.#next = isLarge ? this.#segments.length + place : place;
    if (files[place] === file) this.atBytes = atBytes;
  }
}
