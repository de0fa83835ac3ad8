import type { Disk } from "../base/disk.ts";
import { readHint } from "./hint-file.ts";

/** Where a cycle of the scrub stands. Times are wall-clock milliseconds. */
export type ScrubPosition = {
  readonly isLarge: boolean;
  readonly file: number;
  readonly atBytes: number;
  /** Files above it belong to the next cycle. */
  readonly fileHigh: number;
  readonly startedMs: number;
  readonly doneBytes: number;
  readonly damagedCount: number;
};

/** A cycle that has ended. */
export type EndedCycle = {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly doneBytes: number;
  readonly damagedCount: number;
};

/** What the scrub keeps over a restart; losing it only starts the cycle anew. */
export type ScrubHint = {
  readonly position: ScrubPosition | null;
  readonly last: EndedCycle | null;
};

const layout = 1;
const fieldCount = 14;

/** Numbers of 8 bytes: layout, position (a flag and its fields), last cycle (the same). */
export function encodeScrubHint({ position, last }: ScrubHint): Uint8Array<ArrayBuffer> {
  const fields = new Float64Array(fieldCount);
  fields[0] = layout;
  if (position !== null) {
    const { isLarge, file, atBytes, fileHigh, startedMs, doneBytes, damagedCount } = position;
    fields.set(
      [1, Number(isLarge), file, atBytes, fileHigh, startedMs, doneBytes, damagedCount],
      1,
    );
  }
  if (last !== null) {
    const { startedMs, endedMs, doneBytes, damagedCount } = last;
    fields.set([1, startedMs, endedMs, doneBytes, damagedCount], 9);
  }
  return new Uint8Array(fields.buffer);
}

/** An empty hint for whatever is not whole or cannot be read. */
export function readScrubHint(disk: Disk, path: string): ScrubHint {
  const none: ScrubHint = { position: null, last: null };
  try {
    const payload = readHint(disk, path);
    if (payload === null || payload.length !== 8 * fieldCount) return none;
    const f = new Float64Array(payload.slice().buffer);
    if (f[0] !== layout) return none;
    return { position: f[1] === 1 ? positionOf(f) : null, last: f[9] === 1 ? lastOf(f) : null };
  } catch {
    return none;
  }
}

function positionOf(f: Float64Array): ScrubPosition {
  return {
    isLarge: f[2]! === 1,
    file: f[3]!,
    atBytes: f[4]!,
    fileHigh: f[5]!,
    startedMs: f[6]!,
    doneBytes: f[7]!,
    damagedCount: f[8]!,
  };
}

function lastOf(f: Float64Array): EndedCycle {
  return { startedMs: f[10]!, endedMs: f[11]!, doneBytes: f[12]!, damagedCount: f[13]! };
}
