import type { Disk, DiskFile } from "../base/disk.ts";

/** @source SQLite file format, section 4.1: the write-ahead log. Checksums are over words of the named order. */
const magic = { littleEndian: 0x377f0682, bigEndian: 0x377f0683 } as const;
const headerBytes = 32;
const frameHeadBytes = 24;
/** Of a header, the bytes before its own checksum; of the head of a frame, those that its checksum covers. */
const coveredHeaderBytes = 24;
const coveredFrameBytes = 8;

/** What the whole transactions of a log come to. */
export type WalPages = {
  /** Their numbers; the first one is 1. */
  readonly pages: ReadonlySet<number>;
  /** Of the database after the last transaction. */
  readonly pageCount: number;
  /** Whether one of them is the given first page of a database, byte for byte. */
  readonly hasFirst: boolean;
};

/**
 * The frames that SQLite would take from a write-ahead log of pages as long as `first`; null when there is no whole
 * transaction. @throws the error of the disk.
 */
export function readWalPages(disk: Disk, path: string, first: Uint8Array): WalPages | null {
  const file = disk.open(path, "read");
  if (file === null) return null;
  try {
    return readFrames(file, first);
  } finally {
    file.close();
  }
}

function readFrames(file: DiskFile, first: Uint8Array): WalPages | null {
  const pageBytes = first.length;
  const header = Buffer.alloc(headerBytes);
  if (file.read(header, 0) !== headerBytes || header.readUInt32BE(8) !== pageBytes) return null;
  const found = header.readUInt32BE(0);
  if (found !== magic.littleEndian && found !== magic.bigEndian) return null;
  const sum = new Checksum(found === magic.littleEndian);
  sum.add(header.subarray(0, coveredHeaderBytes));
  if (!sum.isAt(header, coveredHeaderBytes)) return null;
  const salts = header.subarray(16, 24);
  const frame = Buffer.alloc(frameHeadBytes + pageBytes);
  const pages = new Set<number>();
  let open: number[] = [];
  let pageCount = 0;
  let isFirstOpen = false;
  let hasFirst = false;
  for (let at = headerBytes; file.read(frame, at) === frame.length; at += frame.length) {
    if (!frame.subarray(8, 16).equals(salts)) break;
    sum.add(frame.subarray(0, coveredFrameBytes));
    sum.add(frame.subarray(frameHeadBytes));
    if (!sum.isAt(frame, 16)) break;
    const page = frame.readUInt32BE(0);
    open.push(page);
    isFirstOpen ||= page === 1 && frame.subarray(frameHeadBytes).equals(first);
    const endsWith = frame.readUInt32BE(4);
    if (endsWith === 0) continue;
    pageCount = endsWith;
    for (const whole of open) pages.add(whole);
    open = [];
    hasFirst ||= isFirstOpen;
  }
  return pageCount === 0 ? null : { pages, pageCount, hasFirst };
}

class Checksum {
  readonly #isLittleEndian: boolean;
  #first = 0;
  #second = 0;

  constructor(isLittleEndian: boolean) {
    this.#isLittleEndian = isLittleEndian;
  }

  add(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length; at += 8) {
      this.#first = (this.#first + view.getUint32(at, this.#isLittleEndian) + this.#second) | 0;
      this.#second =
        (this.#second + view.getUint32(at + 4, this.#isLittleEndian) + this.#first) | 0;
    }
  }

  isAt(bytes: Buffer, at: number): boolean {
    return bytes.readInt32BE(at) === this.#first && bytes.readInt32BE(at + 4) === this.#second;
  }
}
