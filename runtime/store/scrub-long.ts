import { crc32 } from "../base/digest.ts";
import type { DiskFile } from "../base/disk.ts";
import { piecesAgree, readOr } from "./check-large.ts";
import { pieceBytes } from "./format.ts";
import { decodeMetadata } from "./metadata.ts";
import {
  decodeRecordHeader,
  headerCrc,
  pieceCount,
  recordBytes,
  recordHeaderBytes,
} from "./record.ts";
import type { DamagedPlace } from "./scrub-place.ts";
import { nameOf, type SegmentWindow } from "./scrub-segment.ts";

export type LongRecord = { readonly nextBytes: number; readonly damage: DamagedPlace | null };

/**
 * Checks a record that no window holds, which begins where `window` does and whose header is whole. Fills the window
 * anew for each stretch of the body and yields between them.
 */
export function* checkLongRecord(
  file: DiskFile,
  window: SegmentWindow,
): Generator<void, LongRecord> {
  const { bytes, atBytes, seed } = window;
  const header = decodeRecordHeader(bytes, 0, { seed, offsetBytes: atBytes });
  if (header === null) throw new Error("a long record is told by its whole header");
  const nextBytes = atBytes + recordBytes(header);
  const bodySeed = headerCrc(bytes, 0);
  const metadata = bytes.slice(recordHeaderBytes, recordHeaderBytes + header.metadataBytes);
  const isNamed = crc32(metadata) === header.metadataCrc;
  const bodyAt = atBytes + recordHeaderBytes + header.metadataBytes;
  const body = { atBytes: bodyAt, sizeBytes: header.bodyBytes, seed: bodySeed };
  if (isNamed && (yield* isBodyWhole(file, bytes, body))) return { nextBytes, damage: null };
  const names = isNamed ? decodeMetadata(metadata) : null;
  const place = { file: window.file, isLarge: false, startBytes: atBytes, endBytes: nextBytes };
  const isTail = window.isEndGuessed && nextBytes === window.endBytes;
  return {
    nextBytes,
    damage: { ...place, isTail, id: header.id, name: nameOf(header.producer, names) },
  };
}

function* isBodyWhole(
  file: DiskFile,
  window: Uint8Array,
  body: { atBytes: number; sizeBytes: number; seed: number },
): Generator<void, boolean> {
  const table = Buffer.alloc(4 * pieceCount(body.sizeBytes));
  if (readOr(file, table, body.atBytes + body.sizeBytes) !== table.length) return false;
  const stepBytes = Math.floor(window.length / pieceBytes) * pieceBytes;
  for (let at = 0; at < body.sizeBytes; at += stepBytes) {
    const part = window.subarray(0, Math.min(stepBytes, body.sizeBytes - at));
    if (readOr(file, part, body.atBytes + at) !== part.length) return false;
    if (!piecesAgree(part, table, at / pieceBytes, body.seed)) return false;
    yield;
  }
  return true;
}
