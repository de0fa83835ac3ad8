import { crc32 } from "../base/digest.ts";
import { getUint64 } from "./format.ts";
import { decodeMetadata, type Metadata, metadataBytesMax } from "./metadata.ts";
import {
  bodyIsWhole,
  metadataCrcAtBytes,
  recordBytes,
  recordCrcAtBytes,
  recordHeaderBytes,
  recordMagic,
  recordTypes,
} from "./record.ts";
import type { DamagedPlace, PlaceName } from "./scrub-place.ts";

/** A stretch of a segment in memory and what is known of it. Offsets count from the start of the file. */
export type SegmentWindow = {
  readonly bytes: Uint8Array;
  readonly atBytes: number;
  readonly file: number;
  readonly seed: number;
  /** Where the durable part of the file ends. */
  readonly endBytes: number;
  /** Nobody states that end: it is all there is of the file. */
  readonly isEndGuessed: boolean;
  /** Start of a damaged stretch that reaches into this window; null when the window begins with a record. */
  readonly badFromBytes: number | null;
};

/** What was found in a window. */
export type SegmentWalk = {
  /** Where the next window begins; where this one does when its first record is longer than it. */
  readonly nextBytes: number;
  readonly badFromBytes: number | null;
  readonly damages: readonly DamagedPlace[];
  /** Records that were checked. */
  readonly records: number;
};

const magicBytes = Buffer.alloc(4);
magicBytes.writeUInt32LE(recordMagic);

/**
 * Checks the records that lie whole in a window: header, metadata and body. Between two records that are whole
 * everything else is one damaged place, since lengths in it cannot be believed.
 */
export function walkWindow(window: SegmentWindow): SegmentWalk {
  const { bytes, atBytes, endBytes } = window;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const windowEnd = atBytes + bytes.length;
  const damages: DamagedPlace[] = [];
  let badFrom = window.badFromBytes;
  let at = atBytes;
  let records = 0;
  while (at + recordHeaderBytes <= endBytes) {
    if (at + recordHeaderBytes > windowEnd)
      return { nextBytes: at, badFromBytes: badFrom, damages, records };
    const length = wholeHeaderLength(window, view, at);
    if (length === null || at + length > endBytes) {
      badFrom ??= at;
      at = nextMagic(window, at + 1);
      continue;
    }
    if (badFrom !== null) damages.push(stretch(window, badFrom, at));
    badFrom = null;
    if (at + length > windowEnd) return { nextBytes: at, badFromBytes: null, damages, records };
    const damage = checkRecord(window, view, at, length);
    if (damage !== null) damages.push(damage);
    at += length;
    records += 1;
  }
  // What is left is too short for a record: nothing was, or something cannot be read up to the end.
  if (at < endBytes) badFrom ??= at;
  if (badFrom !== null) damages.push(stretch(window, badFrom, endBytes));
  return { nextBytes: endBytes, badFromBytes: null, damages, records };
}

/** Length of the record whose header begins at `at`; null when that header is not whole. Makes no object: it runs for each. */
function wholeHeaderLength(window: SegmentWindow, view: DataView, at: number): number | null {
  const from = at - window.atBytes;
  if (view.getUint32(from, true) !== recordMagic) return null;
  if (getUint64(view, from + 24) !== at) return null;
  const crc = crc32(part(window.bytes, from, recordCrcAtBytes), window.seed);
  if (crc !== view.getUint32(from + recordCrcAtBytes, true)) return null;
  const metadataBytes = view.getUint32(from + 8, true);
  if (metadataBytes > metadataBytesMax) return null;
  const type = view.getUint8(from + 4);
  return recordBytes({ type, metadataBytes, bodyBytes: getUint64(view, from + 16) });
}

/** Null when metadata and body behind a whole header are whole too. */
function checkRecord(
  window: SegmentWindow,
  view: DataView,
  at: number,
  length: number,
): DamagedPlace | null {
  const from = at - window.atBytes;
  const metadataBytes = view.getUint32(from + 8, true);
  const metadata = part(window.bytes, from + recordHeaderBytes, metadataBytes);
  const isNamed = crc32(metadata) === view.getUint32(from + metadataCrcAtBytes, true);
  const seed = view.getUint32(from + recordCrcAtBytes, true);
  const bodyAt = from + recordHeaderBytes + metadataBytes;
  const hasBody = view.getUint8(from + 4) === recordTypes.put;
  const bodyBytes = hasBody ? getUint64(view, from + 16) : 0;
  if (isNamed && bodyIsWhole(window.bytes, bodyAt, bodyBytes, seed)) return null;
  return {
    ...stretch(window, at, at + length),
    id: window.bytes.slice(from + 32, from + 64),
    name: nameOf(view.getUint8(from + 7), isNamed ? decodeMetadata(metadata) : null),
  };
}

/** Who lies at a place; null without metadata. */
export function nameOf(producer: number, metadata: Metadata | null): PlaceName | null {
  if (metadata === null) return null;
  const { tenant, namespace, key } = metadata;
  return { producer, tenant, namespace, key };
}

/** The next place that begins like a record; near the end of the window, one where the next window goes on. */
function nextMagic(window: SegmentWindow, at: number): number {
  const { bytes, atBytes } = window;
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = source.indexOf(magicBytes, at - atBytes);
  if (found >= 0) return atBytes + found;
  // The last three bytes may begin a magic that ends in the next window.
  return Math.max(at, atBytes + bytes.length - 3);
}

function stretch(window: SegmentWindow, startBytes: number, endBytes: number): DamagedPlace {
  const isTail = window.isEndGuessed && endBytes === window.endBytes;
  return { file: window.file, isLarge: false, startBytes, endBytes, isTail, id: null, name: null };
}

function part(bytes: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length);
}
