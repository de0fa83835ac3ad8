import { assert } from "../base/assert.ts";
import { crc32 } from "../base/digest.ts";
import { KiB, MiB } from "../base/units.ts";

/**
 * Layout of the files on disk, format 1. All integers are little endian; 64-bit ones hold whole numbers up to 2^53-1.
 *
 * A segment is a page with its file header, twice, and then records back to back. A large file is a page with its
 * large header, then the body, then the table of piece CRCs. See `record.ts` and `large-header.ts`.
 */
export const formatVersion = 1;

/** Both copies of a file header, and the large header, end with the page. */
export const filePageBytes = 4 * KiB;
const headerCopyBytes = filePageBytes / 2;
const headerMagic = 0x4547_4553_4152_554bn; // "KURASEGE" read as a little-endian integer
const fixedHeaderBytes = 72;
const endEntryBytes = 16;

/** Bodies are checked in pieces of this size, each with its own CRC-32. */
export const pieceBytes = 256 * KiB;

/** A segment is sealed once the next group would pass this size. */
export const segmentBytesMax = 128 * MiB;

/** Of a small capacity a segment is a small part, since the oldest one always goes whole. */
export function segmentBytesFor(capacityBytes: number): number {
  const smallBytes = Math.min(8 * MiB, capacityBytes / 8);
  return Math.floor(Math.min(segmentBytesMax, Math.max(smallBytes, capacityBytes / 32)));
}

/** As many burnt tails as one header copy can name. */
export const burntEndsMax = 120;
assert(
  fixedHeaderBytes + burntEndsMax * endEntryBytes <= headerCopyBytes - 4,
  "the list of burnt ends fits a header copy",
);

/** Where the durable part of a file ends, when its physical end lies beyond it. */
export type BurntEnd = { readonly file: number; readonly endBytes: number };

export type FileHeader = {
  readonly formatVersion: number;
  readonly storeId: Uint8Array;
  readonly file: number;
  /** Number of the file before it in the log; 0 when it is the first. */
  readonly predecessor: number;
  /** Durable end of the predecessor: whatever lies beyond was never acknowledged and is never read. */
  readonly predecessorEndBytes: number;
  readonly createdMs: number;
  /** Earlier files with bytes beyond their durable end, so that the loss of one header does not revive them. */
  readonly burntEnds: readonly BurntEnd[];
};

export function putUint64(view: DataView, atBytes: number, value: number): void {
  view.setUint32(atBytes, value >>> 0, true);
  view.setUint32(atBytes + 4, Math.floor(value / 4_294_967_296), true);
}

export function getUint64(view: DataView, atBytes: number): number {
  return view.getUint32(atBytes, true) + view.getUint32(atBytes + 4, true) * 4_294_967_296;
}

/** The first page of a segment: the same header twice, so that one bad sector does not hide a file. */
export function encodeFileHeader(header: FileHeader): Uint8Array {
  assert(header.burntEnds.length <= burntEndsMax, "burnt ends fit the file header");
  const page = new Uint8Array(filePageBytes);
  const view = new DataView(page.buffer);
  view.setBigUint64(0, headerMagic, true);
  view.setUint32(8, header.formatVersion, true);
  page.set(header.storeId, 16);
  putUint64(view, 32, header.file);
  putUint64(view, 40, header.predecessor);
  putUint64(view, 48, header.predecessorEndBytes);
  putUint64(view, 56, header.createdMs);
  view.setUint32(64, header.burntEnds.length, true);
  let at = fixedHeaderBytes;
  for (const end of header.burntEnds) {
    putUint64(view, at, end.file);
    putUint64(view, at + 8, end.endBytes);
    at += endEntryBytes;
  }
  view.setUint32(headerCopyBytes - 4, crc32(page.subarray(0, headerCopyBytes - 4)), true);
  page.copyWithin(headerCopyBytes, 0, headerCopyBytes);
  return page;
}

/** Reads the first page of a segment; null when neither copy is whole. */
export function decodeFileHeader(page: Uint8Array): FileHeader | null {
  if (page.length < filePageBytes) return null;
  const [first, second] = decodeHeaderCopies(page);
  return first ?? second;
}

/** Both copies of a file header, null for one that is not whole; of a page that was read in full. */
export function decodeHeaderCopies(page: Uint8Array): [FileHeader | null, FileHeader | null] {
  return [
    decodeHeaderCopy(page.subarray(0, headerCopyBytes)),
    decodeHeaderCopy(page.subarray(headerCopyBytes, filePageBytes)),
  ];
}

function decodeHeaderCopy(copy: Uint8Array): FileHeader | null {
  const view = new DataView(copy.buffer, copy.byteOffset, copy.byteLength);
  if (view.getBigUint64(0, true) !== headerMagic) return null;
  if (crc32(copy.subarray(0, headerCopyBytes - 4)) !== view.getUint32(headerCopyBytes - 4, true)) {
    return null;
  }
  const burntEnds: BurntEnd[] = [];
  const count = Math.min(view.getUint32(64, true), burntEndsMax);
  for (let i = 0; i < count; i++) {
    const at = fixedHeaderBytes + i * endEntryBytes;
    burntEnds.push({ file: getUint64(view, at), endBytes: getUint64(view, at + 8) });
  }
  return {
    formatVersion: view.getUint32(8, true),
    storeId: new Uint8Array(copy.subarray(16, 32)),
    file: getUint64(view, 32),
    predecessor: getUint64(view, 40),
    predecessorEndBytes: getUint64(view, 48),
    createdMs: getUint64(view, 56),
    burntEnds,
  };
}

/** CRC of a whole file header: where the chain of record headers begins. */
export function chainStart(header: FileHeader): number {
  return crc32(encodeFileHeader(header).subarray(0, headerCopyBytes - 4));
}

/**
 * Where the CRCs of a file start: over the store's id and the file's number, so that records of another store or
 * another file never look whole here.
 */
export function fileSeed(storeId: Uint8Array, file: number): number {
  const numbered = new Uint8Array(storeId.length + 8);
  numbered.set(storeId);
  putUint64(new DataView(numbered.buffer), storeId.length, file);
  return crc32(numbered);
}
