import { crc32 } from "../base/digest.ts";
import type { DiskFile } from "../base/disk.ts";
import { MiB } from "../base/units.ts";
import { decodeMetadata, type Metadata, metadataBytesMax } from "./metadata.ts";
import { readAround } from "./read-around.ts";
import {
  bodyIsWhole,
  decodeRecordHeader,
  headerCrc,
  pieceCount,
  type RecordHeader,
  recordBytes,
  recordHeaderBytes,
  recordMagic,
  recordTypes,
} from "./record.ts";

export type ScannedRecord = {
  readonly header: RecordHeader;
  readonly metadata: Metadata;
  readonly crc: number;
  readonly endBytes: number;
  /** False only when bodies are checked and this one is torn or damaged. */
  readonly bodyIsGood: boolean;
  /** Whether the scan had to pass something bad to find it. */
  readonly isAfterDamage: boolean;
};

export type ScanOptions = {
  readonly seed: number;
  readonly startBytes: number;
  /** Nothing at or beyond this offset is read. */
  readonly endBytes: number;
  /** CRC of the header before the first record; null when it is not known. */
  readonly chain: number | null;
  /** `stop`: the first bad record ends the log. `search`: go on at the next whole one. */
  readonly onDamage: "stop" | "search";
  readonly checksBodies: boolean;
};

/** Room for the longest record that can be in a segment, and to spare for reading ahead. */
const windowBytes = 4 * MiB;

const magicBytes = Buffer.alloc(4);
magicBytes.writeUInt32LE(recordMagic);

/**
 * Walks the records of one segment in order. It reads ahead in one window, and passes bodies by unless it checks them.
 */
export class RecordScanner {
  readonly #file: DiskFile;
  readonly #options: ScanOptions;
  readonly #window = Buffer.allocUnsafe(windowBytes);
  #windowStart = 0;
  #windowEnd = 0;
  #at: number;
  #chain: number | null;
  #damagedCount = 0;

  constructor(file: DiskFile, options: ScanOptions) {
    this.#file = file;
    this.#options = options;
    this.#at = options.startBytes;
    this.#chain = options.chain;
  }

  /** Where the scan stands: between records, or at the first bad one. */
  get atBytes(): number {
    return this.#at;
  }

  /** Whether the end of this file is where the log ends: bodies are checked there. */
  get isOpenEnd(): boolean {
    return this.#options.checksBodies;
  }

  get damagedCount(): number {
    return this.#damagedCount;
  }

  /** The next record, or null at the end. */
  next(): ScannedRecord | null {
    let isAfterDamage = false;
    while (this.#at + recordHeaderBytes <= this.#options.endBytes) {
      const record = this.#readRecord(isAfterDamage);
      if (record !== null) return record;
      if (this.#options.onDamage === "stop") return null;
      isAfterDamage = true;
      this.#damagedCount += 1;
      if (!this.#seek()) return null;
    }
    return null;
  }

  #readRecord(isAfterDamage: boolean): ScannedRecord | null {
    const { seed, endBytes, checksBodies, onDamage } = this.#options;
    const at = this.#at;
    const head = this.#need(at, recordHeaderBytes + metadataBytesMax);
    const header = decodeRecordHeader(this.#window, head, { seed, offsetBytes: at });
    if (header === null || header.metadataBytes > metadataBytesMax) return null;
    if (onDamage === "stop" && this.#chain !== null && header.chain !== this.#chain) return null;
    const end = at + recordBytes(header);
    if (end > endBytes) return null;
    const crc = headerCrc(this.#window, head);
    const metadata = this.#readMetadata(head + recordHeaderBytes, header);
    if (metadata === null) return null;
    const bodyIsGood = !checksBodies || this.#bodyIsGood(header, crc);
    if (!bodyIsGood && onDamage === "stop") return null;
    this.#at = end;
    this.#chain = crc;
    return { header, metadata, crc, endBytes: end, bodyIsGood, isAfterDamage };
  }

  #readMetadata(from: number, header: RecordHeader): Metadata | null {
    const bytes = this.#window.subarray(from, from + header.metadataBytes);
    if (crc32(bytes) !== header.metadataCrc) return null;
    return decodeMetadata(bytes);
  }

  #bodyIsGood(header: RecordHeader, crc: number): boolean {
    if (header.type !== recordTypes.put) return true;
    const bodyAt = header.offsetBytes + recordHeaderBytes + header.metadataBytes;
    const length = header.bodyBytes + 4 * pieceCount(header.bodyBytes);
    if (length > windowBytes) return this.#longBodyIsGood(header.bodyBytes, bodyAt, length, crc);
    const from = this.#need(bodyAt, length);
    if (this.#windowEnd < bodyAt + length) return false;
    return bodyIsWhole(this.#window, from, header.bodyBytes, crc);
  }

  /** A body that the window does not hold, such as a key-value document of a raised limit: read for itself. */
  #longBodyIsGood(bodyBytes: number, atBytes: number, length: number, crc: number): boolean {
    if (atBytes + length > this.#options.endBytes) return false;
    const bytes = new Uint8Array(length);
    try {
      if (this.#file.read(bytes, atBytes) < length) return false;
    } catch {
      // A sector that cannot be read is damage like any other.
      return false;
    }
    return bodyIsWhole(bytes, 0, bodyBytes, crc);
  }

  /** Moves on to the next place that starts like a record; false when there is none. */
  #seek(): boolean {
    this.#chain = null;
    let at = this.#at + 1;
    while (at + recordHeaderBytes <= this.#options.endBytes) {
      const from = this.#need(at, recordHeaderBytes);
      const valid = this.#windowEnd - this.#windowStart;
      const found = this.#window.subarray(0, valid).indexOf(magicBytes, from);
      if (found >= 0) {
        this.#at = this.#windowStart + found;
        return true;
      }
      if (this.#windowEnd >= this.#options.endBytes) break;
      // The last three bytes may begin a magic that ends in the next window.
      at = Math.max(at + 1, this.#windowEnd - 3);
    }
    this.#at = this.#options.endBytes;
    return false;
  }

  /** Makes the window hold `length` bytes from `atBytes` on, if the file has them; returns their place in it. */
  #need(atBytes: number, length: number): number {
    const wanted = Math.min(atBytes + length, this.#options.endBytes);
    if (atBytes < this.#windowStart || wanted > this.#windowEnd) {
      const room = Math.min(windowBytes, this.#options.endBytes - atBytes);
      const count = readAround(this.#file, this.#window.subarray(0, room), atBytes);
      this.#windowStart = atBytes;
      this.#windowEnd = atBytes + count;
      this.#window.fill(0, count, Math.min(windowBytes, count + recordHeaderBytes));
    }
    return atBytes - this.#windowStart;
  }
}
