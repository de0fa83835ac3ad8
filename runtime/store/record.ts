import { crc32 } from "../base/digest.ts";
import { getUint64, pieceBytes, putUint64 } from "./format.ts";
import { type Manifest, manifestFlags } from "./store.ts";

/** What a record says; the numbers are on disk. */
export const recordTypes = {
  /** The body follows. */
  put: 1,
  /** The body lies elsewhere: the metadata names the place. */
  reference: 2,
  /** The same artifact, same seq, version and origin, at another place. */
  move: 3,
  /** A scope is emptied at this version; the first 16 bytes of the id are the scope's hash. */
  tombstone: 4,
} as const;

/**
 * Header of a record, 112 bytes: magic 0, type 4, flags 5, kind 6, producer 7, length of the metadata 8, place in the
 * group 12 (1: the first record of a group, 0: a later one), body 16,
 * own offset 24, id 32, seq 64, version 72, origin 80, chain 88, CRC of the metadata 92, digest 96, own CRC 108.
 * Behind it: metadata, body (put only), CRC-32 of each 256 KiB of the body, seeded with the header's CRC.
 */
export type RecordHeader = {
  readonly type: number;
  readonly flags: number;
  readonly kind: number;
  readonly producer: number;
  readonly metadataBytes: number;
  /** Whether this is the first record of a group: everything before it in the file was synced when it was written. */
  readonly startsGroup: boolean;
  /** Size of the artifact's body, wherever it lies. */
  readonly bodyBytes: number;
  readonly offsetBytes: number;
  readonly id: Uint8Array;
  readonly seq: number;
  readonly version: number;
  readonly origin: number;
  /** CRC of the record header before it in the file, of the file header for the first record. */
  readonly chain: number;
  readonly metadataCrc: number;
  /** Integrity digest of the body: xxHash3 up to the journal's limit, over length and piece CRCs above it. */
  readonly digest: bigint;
};

export const recordHeaderBytes = 112;
export const recordMagic = 0x43_45_52_4b; // "KREC"
export const metadataCrcAtBytes = 92;
export const recordCrcAtBytes = 108;

/** Writes a header; returns its CRC, which seeds the body's and the next header's. */
export function encodeRecordHeader(into: Buffer, at: number, header: RecordHeader, seed: number) {
  const view = new DataView(into.buffer, into.byteOffset + at, recordHeaderBytes);
  view.setUint32(0, recordMagic, true);
  view.setUint8(4, header.type);
  view.setUint8(5, header.flags);
  view.setUint8(6, header.kind);
  view.setUint8(7, header.producer);
  view.setUint32(8, header.metadataBytes, true);
  view.setUint32(12, header.startsGroup ? 1 : 0, true);
  putUint64(view, 16, header.bodyBytes);
  putUint64(view, 24, header.offsetBytes);
  into.set(header.id, at + 32);
  putUint64(view, 64, header.seq);
  putUint64(view, 72, header.version);
  putUint64(view, 80, header.origin);
  view.setUint32(88, header.chain, true);
  view.setUint32(92, header.metadataCrc, true);
  view.setBigUint64(96, header.digest, true);
  view.setUint32(104, 0, true);
  const crc = crc32(viewBytes(into, at, recordCrcAtBytes), seed);
  view.setUint32(recordCrcAtBytes, crc, true);
  return crc;
}

/**
 * Reads the header at `at` of `bytes`, which must lie at `offsetBytes` of its file.
 * Null when it is cut, foreign, misplaced or damaged; the id is a copy.
 */
export function decodeRecordHeader(
  bytes: Uint8Array,
  at: number,
  expected: { seed: number; offsetBytes: number },
): RecordHeader | null {
  if (at + recordHeaderBytes > bytes.length) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, recordHeaderBytes);
  if (view.getUint32(0, true) !== recordMagic) return null;
  if (getUint64(view, 24) !== expected.offsetBytes) return null;
  const crc = crc32(bytes.subarray(at, at + recordCrcAtBytes), expected.seed);
  if (crc !== view.getUint32(recordCrcAtBytes, true)) return null;
  return {
    type: view.getUint8(4),
    flags: view.getUint8(5),
    kind: view.getUint8(6),
    producer: view.getUint8(7),
    metadataBytes: view.getUint32(8, true),
    startsGroup: view.getUint32(12, true) === 1,
    bodyBytes: getUint64(view, 16),
    offsetBytes: expected.offsetBytes,
    // A copy: `bytes` may be a Buffer over a window that is filled again, and Buffer.slice shares memory.
    id: new Uint8Array(bytes.subarray(at + 32, at + 64)),
    seq: getUint64(view, 64),
    version: getUint64(view, 72),
    origin: getUint64(view, 80),
    chain: view.getUint32(88, true),
    metadataCrc: view.getUint32(92, true),
    digest: view.getBigUint64(96, true),
  };
}

/** What a row says of the record that it names. */
export type RecordNamed = Pick<
  Manifest,
  "id" | "offsetBytes" | "metadataBytes" | "sizeBytes" | "version" | "origin" | "digest" | "flags"
>;

/**
 * Whether the header at the start of a buffer is the one that a row names: "damaged" when it is not whole or
 * of another version, "other" when it is whole and another's. The same judgement as by `decodeRecordHeader`, without an object (a third of the time).
 * `view`: of all of `bytes`.
 */
export function compareHeader(
  bytes: Uint8Array,
  view: DataView,
  { seed, row }: { seed: number; row: RecordNamed },
): "same" | "other" | "damaged" {
  if (view.getUint32(0, true) !== recordMagic) return "damaged";
  if (getUint64(view, 24) !== row.offsetBytes) return "damaged";
  const crc = crc32(bytes.subarray(0, recordCrcAtBytes), seed);
  if (crc !== view.getUint32(recordCrcAtBytes, true)) return "damaged";
  for (let i = 0; i < 32; i++) if (bytes[32 + i] !== row.id[i]) return "other";
  const digest = view.getUint32(96, true) + (view.getUint32(100, true) & 0xf_ffff) * 2 ** 32;
  const isSame =
    digest === row.digest &&
    getUint64(view, 16) === row.sizeBytes &&
    view.getUint32(8, true) === row.metadataBytes &&
    (view.getUint8(5) & manifestFlags.deleted) === 0;
  if (!isSame) return "other";
  if ((row.flags & manifestFlags.rowOnlyUpdate) !== 0) return "same";
  const isSameVersion = getUint64(view, 72) === row.version && getUint64(view, 80) === row.origin;
  return isSameVersion ? "same" : "damaged";
}

/** CRC of the header at `at`, as it was written. */
export function headerCrc(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, recordHeaderBytes);
  return view.getUint32(recordCrcAtBytes, true);
}

/** A window on bytes. `Buffer.subarray` makes a Buffer by way of its species, which costs five times as much (measured). */
function viewBytes(bytes: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length);
}

export function pieceCount(bodyBytes: number): number {
  return Math.ceil(bodyBytes / pieceBytes);
}

/** Length of a whole record on disk. */
export function recordBytes(header: Pick<RecordHeader, "type" | "metadataBytes" | "bodyBytes">) {
  const bodyBytes = header.type === recordTypes.put ? header.bodyBytes : 0;
  return recordHeaderBytes + header.metadataBytes + bodyBytes + 4 * pieceCount(bodyBytes);
}

/** Writes the CRC table of a body that lies in `into` and returns its end. */
export function encodePieceCrcs(into: Buffer, bodyAt: number, bodyBytes: number, seed: number) {
  let at = bodyAt + bodyBytes;
  for (let piece = 0; piece < bodyBytes; piece += pieceBytes) {
    const end = Math.min(piece + pieceBytes, bodyBytes);
    into.writeUInt32LE(crc32(viewBytes(into, bodyAt + piece, end - piece), seed), at);
    at += 4;
  }
  return at;
}

/** Whether a body agrees with its CRC table, which follows it in `bytes`. */
export function bodyIsWhole(bytes: Uint8Array, bodyAt: number, bodyBytes: number, seed: number) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = bodyAt + bodyBytes;
  for (let piece = 0; piece < bodyBytes; piece += pieceBytes) {
    const end = Math.min(piece + pieceBytes, bodyBytes);
    const crc = crc32(viewBytes(bytes, bodyAt + piece, end - piece), seed);
    if (crc !== view.getUint32(at, true)) return false;
    at += 4;
  }
  return true;
}

/** The part of the digest that rows carry: its low 52 bits, exact as a number. */
export function rowDigest(digest: bigint): number {
  return Number(digest & 0xf_ffff_ffff_ffffn);
}
