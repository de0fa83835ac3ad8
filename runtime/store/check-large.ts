import { crc32 } from "../base/digest.ts";
import type { DiskFile } from "../base/disk.ts";
import { MiB } from "../base/units.ts";
import { filePageBytes, pieceBytes } from "./format.ts";
import { decodeLargeHeader, type LargeHeader, largeDigest } from "./large-file.ts";
import type { LargeExpectation } from "./maintenance.ts";
import { pieceCount, rowDigest } from "./record.ts";

/** Bytes between two steps: bounds the time that a check keeps others waiting. */
export const checkSliceBytes = 4 * MiB;

/** Checks a large file in slices; yields between them and returns the verdict. */
export function* checkLargeFile(
  file: DiskFile,
  expected: LargeExpectation,
): Generator<void, boolean> {
  const page = new Uint8Array(filePageBytes);
  if (readOr(file, page, 0) !== page.length) return false;
  const header = decodeLargeHeader(page);
  if (header === null || !isExpected(header, expected)) return false;
  const table = Buffer.alloc(4 * pieceCount(header.bodyBytes));
  const tableAt = filePageBytes + header.bodyBytes;
  if (readOr(file, table, tableAt) !== table.length) return false;
  if (largeDigest(header.bodyBytes, table) !== header.digest) return false;
  const slice = new Uint8Array(Math.min(checkSliceBytes, header.bodyBytes));
  for (let at = 0; at < header.bodyBytes; at += checkSliceBytes) {
    const length = Math.min(checkSliceBytes, header.bodyBytes - at);
    const part = slice.subarray(0, length);
    if (readOr(file, part, filePageBytes + at) !== length) return false;
    if (!piecesAgree(part, table, at / pieceBytes, header.seed)) return false;
    yield;
  }
  return true;
}

/** What cannot be read is damage: the artifact becomes a miss that an upload heals. */
export function readOr(file: DiskFile, into: Uint8Array, atBytes: number): number {
  try {
    return file.read(into, atBytes);
  } catch {
    return -1;
  }
}

function isExpected(header: LargeHeader, expected: LargeExpectation): boolean {
  if (Buffer.compare(header.id, expected.id) !== 0) return false;
  if (header.bodyBytes !== expected.sizeBytes) return false;
  return rowDigest(header.digest) === expected.digest;
}

/** Whether whole pieces of a body agree with their CRCs, from number `firstPiece` on. */
export function piecesAgree(
  part: Uint8Array,
  table: Buffer,
  firstPiece: number,
  seed: number,
): boolean {
  for (let at = 0, piece = firstPiece; at < part.length; at += pieceBytes, piece++) {
    const bytes = part.subarray(at, Math.min(at + pieceBytes, part.length));
    if (crc32(bytes, seed) !== table.readUInt32LE(4 * piece)) return false;
  }
  return true;
}
