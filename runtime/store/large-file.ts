import { crc32, xxHash3 } from "../base/digest.ts";
import type { DiskFile } from "../base/disk.ts";
import { Fault } from "../base/fault.ts";
import { filePageBytes, formatVersion, getUint64, pieceBytes, putUint64 } from "./format.ts";
import { decodeMetadata, encodeMetadata, type Metadata, metadataBytesMax } from "./metadata.ts";

/**
 * First page of a large file, 4 KiB: magic 0, format 8, store id 16, file number 32, body length 40, digest 48,
 * offset of the CRC table 56, CRC seed 64, length of the metadata 68, kind 72, producer 73, id 80, metadata 112, own
 * CRC 4092. It says nothing of seq, version or place in the log: only a reference record makes the file an artifact.
 */
export type LargeHeader = {
  readonly storeId: Uint8Array;
  readonly file: number;
  readonly bodyBytes: number;
  readonly digest: bigint;
  readonly seed: number;
  readonly kind: number;
  readonly producer: number;
  readonly id: Uint8Array;
  readonly metadata: Metadata;
};

const magic = 0x4752_414c_4152_554bn; // "KURALARG" read as a little-endian integer
const metadataAt = 112;
const crcAt = filePageBytes - 4;

export function encodeLargeHeader(header: LargeHeader): Uint8Array {
  const page = Buffer.alloc(filePageBytes + metadataBytesMax);
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const metadataEnd = encodeMetadata(page, metadataAt, header.metadata);
  view.setBigUint64(0, magic, true);
  view.setUint32(8, formatVersion, true);
  page.set(header.storeId, 16);
  putUint64(view, 32, header.file);
  putUint64(view, 40, header.bodyBytes);
  view.setBigUint64(48, header.digest, true);
  putUint64(view, 56, filePageBytes + header.bodyBytes);
  view.setUint32(64, header.seed, true);
  view.setUint32(68, metadataEnd - metadataAt, true);
  view.setUint8(72, header.kind);
  view.setUint8(73, header.producer);
  page.set(header.id, 80);
  view.setUint32(crcAt, crc32(page.subarray(0, crcAt)), true);
  return page.subarray(0, filePageBytes);
}

/** Null when the page is not whole: an upload that never ended, or damage. */
export function decodeLargeHeader(page: Uint8Array): LargeHeader | null {
  if (page.length < filePageBytes) return null;
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  if (view.getBigUint64(0, true) !== magic) return null;
  if (crc32(page.subarray(0, crcAt)) !== view.getUint32(crcAt, true)) return null;
  const metadataBytes = view.getUint32(68, true);
  if (metadataBytes > metadataBytesMax) return null;
  const metadata = decodeMetadata(page.subarray(metadataAt, metadataAt + metadataBytes));
  if (metadata === null) return null;
  return {
    storeId: new Uint8Array(page.subarray(16, 32)),
    file: getUint64(view, 32),
    bodyBytes: getUint64(view, 40),
    digest: view.getBigUint64(48, true),
    seed: view.getUint32(64, true),
    kind: view.getUint8(72),
    producer: view.getUint8(73),
    id: new Uint8Array(page.subarray(80, 112)),
    metadata,
  };
}

/** Null as `decodeLargeHeader`, and when the page cannot be read: a bad sector is damage like any other. */
export function readLargeHeader(file: DiskFile): LargeHeader | null {
  const page = new Uint8Array(filePageBytes);
  try {
    return file.read(page, 0) === filePageBytes ? decodeLargeHeader(page) : null;
  } catch (error) {
    if (error instanceof Fault) return null;
    throw error;
  }
}

/** Digest of a large body: xxHash3 over its length and its piece CRCs, as there is no incremental xxHash3. */
export function largeDigest(bodyBytes: number, table: Uint8Array): bigint {
  const summed = new Uint8Array(8 + table.length);
  putUint64(new DataView(summed.buffer), 0, bodyBytes);
  summed.set(table, 8);
  return xxHash3(summed);
}

/** CRCs of the pieces of a body that arrives in chunks of any size. */
export class PieceCrcs {
  readonly #seed: number;
  #table = Buffer.alloc(4 * 64);
  #count = 0;
  #pieceFill = 0;
  #crc: number;
  #totalBytes = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#crc = seed;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  update(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const take = Math.min(chunk.length - at, pieceBytes - this.#pieceFill);
      this.#crc = crc32(chunk.subarray(at, at + take), this.#crc);
      this.#pieceFill += take;
      at += take;
      if (this.#pieceFill === pieceBytes) this.#endPiece();
    }
    this.#totalBytes += chunk.length;
  }

  /** The table, four bytes a piece, little endian. */
  finish(): Uint8Array {
    if (this.#pieceFill > 0) this.#endPiece();
    return this.#table.subarray(0, 4 * this.#count);
  }

  #endPiece(): void {
    if (4 * this.#count === this.#table.length) {
      this.#table = Buffer.concat([this.#table, Buffer.alloc(this.#table.length)]);
    }
    this.#table.writeUInt32LE(this.#crc, 4 * this.#count);
    this.#count += 1;
    this.#pieceFill = 0;
    this.#crc = this.#seed;
  }
}
