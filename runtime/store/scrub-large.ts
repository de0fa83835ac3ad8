import type { DiskFile } from "../base/disk.ts";
import { piecesAgree, readOr } from "./check-large.ts";
import { filePageBytes, pieceBytes } from "./format.ts";
import { type LargeHeader, largeDigest, readLargeHeader } from "./large-file.ts";
import { pieceCount } from "./record.ts";
import type { DamagedPlace } from "./scrub-place.ts";
import { nameOf } from "./scrub-segment.ts";

export type LargeSlice = {
  /** Offset in the body where the next slice begins. */
  readonly nextBytes: number;
  readonly isEnd: boolean;
  readonly damage: DamagedPlace | null;
};

/**
 * Checks first page, length and digest of a large file, and the pieces of its body from `atBytes` on that the window
 * holds. The first damage ends it: the artifact is lost as a whole.
 */
export function scrubLargeSlice(
  file: DiskFile,
  { number, atBytes }: { number: number; atBytes: number },
  window: Uint8Array,
): LargeSlice {
  const header = readLargeHeader(file);
  // A whole page of another file was written to the wrong place: it says nothing of who should lie here.
  const own = header !== null && header.file === number ? header : null;
  const part = own === null ? null : readPart(file, own, atBytes, window);
  if (own === null || part === null) {
    return { nextBytes: 0, isEnd: true, damage: damageOf(number, own) };
  }
  const nextBytes = atBytes + part.length;
  return { nextBytes, isEnd: nextBytes >= own.bodyBytes, damage: null };
}

/** The pieces from `atBytes` on; null when they, or what says what they should be, are damaged. */
function readPart(
  file: DiskFile,
  { bodyBytes, digest, seed }: LargeHeader,
  atBytes: number,
  window: Uint8Array,
): Uint8Array | null {
  const table = Buffer.alloc(4 * pieceCount(bodyBytes));
  if (readOr(file, table, filePageBytes + bodyBytes) !== table.length) return null;
  if (largeDigest(bodyBytes, table) !== digest) return null;
  const part = window.subarray(0, Math.min(window.length, bodyBytes - atBytes));
  if (readOr(file, part, filePageBytes + atBytes) !== part.length) return null;
  return piecesAgree(part, table, atBytes / pieceBytes, seed) ? part : null;
}

function damageOf(number: number, header: LargeHeader | null): DamagedPlace {
  const endBytes = Number.MAX_SAFE_INTEGER;
  const place = { file: number, isLarge: true, startBytes: 0, endBytes, isTail: false };
  if (header === null) return { ...place, id: null, name: null };
  return { ...place, id: header.id, name: nameOf(header.producer, header.metadata) };
}
