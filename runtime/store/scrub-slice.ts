import type { Disk, DiskFile } from "../base/disk.ts";
import { asFault } from "../base/fault.ts";
import { MiB } from "../base/units.ts";
import { decodeFileHeader, decodeHeaderCopies, filePageBytes, fileSeed } from "./format.ts";
import { readAround } from "./read-around.ts";
import { scrubLargeSlice } from "./scrub-large.ts";
import { checkLongRecord } from "./scrub-long.ts";
import type { DamagedPlace } from "./scrub-place.ts";
import { walkWindow } from "./scrub-segment.ts";

/** Bytes of one slice of the scrub: a whole number of pieces, and room for nearly every record. */
export const scrubSliceBytes = 2 * MiB;

/** The next slice of a data file to be checked. */
export type ScrubRequest = {
  readonly path: string;
  readonly file: number;
  readonly isLarge: boolean;
  readonly storeId: Uint8Array;
  /** 0 for the beginning of the file; what the slice before gave else. */
  readonly atBytes: number;
  readonly badFromBytes: number | null;
  /** Durable end of a segment where this process knows it; null where its successor has to be asked. */
  readonly endBytes: number | null;
  /** The segment after this one; null when there is none. */
  readonly successorPath: string | null;
};

export type ScrubSlice =
  | {
      readonly at: "read";
      readonly nextBytes: number;
      readonly badFromBytes: number | null;
      readonly isEnd: boolean;
      readonly damages: readonly DamagedPlace[];
      /** Copies of the file header that are not whole; only the first slice of a segment looks. */
      readonly damagedHeaders: number;
      readonly records: number;
    }
  /** The file was removed meanwhile. */
  | { readonly at: "gone" }
  | { readonly at: "unreadable"; readonly reason: string };

/** Checks one slice. The window is filled anew by every slice and, in a record longer than it, by every step. */
export function* scrubSlice(
  disk: Disk,
  request: ScrubRequest,
  window: Uint8Array,
): Generator<void, ScrubSlice> {
  let file: DiskFile | null = null;
  try {
    file = disk.open(request.path, "read");
    if (file === null) return { at: "gone" };
    if (!request.isLarge) return yield* scrubSegmentSlice(disk, file, request, window);
    const { file: number, atBytes } = request;
    const { nextBytes, isEnd, damage } = scrubLargeSlice(file, { number, atBytes }, window);
    const damages = damage === null ? [] : [damage];
    const none = { badFromBytes: null, damagedHeaders: 0, records: 0 };
    return { at: "read", nextBytes, isEnd, damages, ...none };
  } catch (error) {
    return { at: "unreadable", reason: asFault(error).message };
  } finally {
    file?.close();
  }
}

function* scrubSegmentSlice(
  disk: Disk,
  file: DiskFile,
  request: ScrubRequest,
  buffer: Uint8Array,
): Generator<void, ScrubSlice> {
  const isFirst = request.atBytes === 0;
  const damagedHeaders = isFirst ? countDamagedHeaders(file, request) : 0;
  const atBytes = isFirst ? filePageBytes : request.atBytes;
  const knownEndBytes = request.endBytes ?? statedEnd(disk, request);
  const isEndGuessed = knownEndBytes === null;
  const endBytes = knownEndBytes ?? file.sizeBytes();
  const length = Math.max(0, Math.min(buffer.length, endBytes - atBytes));
  const bytes = buffer.subarray(0, length);
  // What a file lacks of its durable part is damage: zeros are no record.
  bytes.fill(0, readAround(file, bytes, atBytes));
  const seed = fileSeed(request.storeId, request.file);
  const { badFromBytes } = request;
  const place = { atBytes, file: request.file, endBytes, isEndGuessed, badFromBytes };
  const window = { ...place, bytes, seed };
  const walk = walkWindow(window);
  const { records } = walk;
  const found = { at: "read", badFromBytes: walk.badFromBytes, damagedHeaders, records } as const;
  if (walk.nextBytes > atBytes || atBytes >= endBytes) {
    const { nextBytes, damages } = walk;
    return { ...found, nextBytes, isEnd: nextBytes >= endBytes, damages };
  }
  const { nextBytes, damage } = yield* checkLongRecord(file, window);
  const damages = damage === null ? walk.damages : [...walk.damages, damage];
  return { ...found, nextBytes, isEnd: nextBytes >= endBytes, damages };
}

function countDamagedHeaders(file: DiskFile, { file: number, storeId }: ScrubRequest): number {
  const page = new Uint8Array(filePageBytes);
  readAround(file, page, 0);
  const isOurs = decodeHeaderCopies(page).map(
    (copy) => copy?.file === number && Buffer.compare(copy.storeId, storeId) === 0,
  );
  return isOurs.filter((isWhole) => !isWhole).length;
}

/** Durable end of a segment as its successor states it: what lies beyond was never acknowledged. */
function statedEnd(disk: Disk, { file, successorPath }: ScrubRequest): number | null {
  const successor = successorPath === null ? null : disk.open(successorPath, "read");
  if (successor === null) return null;
  try {
    const page = new Uint8Array(filePageBytes);
    readAround(successor, page, 0);
    const header = decodeFileHeader(page);
    return header?.predecessor === file ? header.predecessorEndBytes : null;
  } finally {
    successor.close();
  }
}
