import { crc32, xxHash3 } from "../base/digest.ts";
import { KiB, MiB } from "../base/units.ts";
import { encodeMetadata, type Metadata, metadataBytesMax } from "./metadata.ts";
import {
  encodePieceCrcs,
  encodeRecordHeader,
  pieceCount,
  type RecordHeader,
  recordHeaderBytes,
  recordTypes,
} from "./record.ts";

/** A group ends at this many changes or bytes of bodies; two groups at most are in memory, one written, one gathering. */
export const groupChangesMax = 256;
export const groupBytesMax = 16 * MiB;

/** The buffer returns to this size after a large group. */
const idleBytes = 512 * KiB;

/** What a record says beside what its place decides. */
export type RecordFacts = Omit<
  RecordHeader,
  "offsetBytes" | "chain" | "metadataBytes" | "metadataCrc" | "startsGroup"
>;

export type EncodedRecord = {
  readonly offsetBytes: number;
  readonly metadataBytes: number;
  readonly crc: number;
};

/** Records of one group, encoded back to back as they will lie on disk. */
export class GroupBuffer {
  #buffer = Buffer.allocUnsafeSlow(idleBytes);
  #length = 0;
  #startBytes = 0;
  #chain = 0;
  #seed = 0;

  /** Begins a group that will be written at `startBytes` of the segment with this seed. */
  reset(startBytes: number, chain: number, seed: number): void {
    if (this.#buffer.length > idleBytes * 4) this.#replace(Buffer.allocUnsafeSlow(idleBytes));
    this.#length = 0;
    this.#startBytes = startBytes;
    this.#chain = chain;
    this.#seed = seed;
  }

  /** Makes room for so many bytes at once: a buffer that doubles on its way holds three times as much. */
  reserve(lengthBytes: number): void {
    this.#ensure(lengthBytes);
  }

  /** CRC of the last header, to which the next one refers. */
  get chain(): number {
    return this.#chain;
  }

  get lengthBytes(): number {
    return this.#length;
  }

  /** The encoded group; valid until the next `reset`. */
  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Forgets the records behind `lengthBytes`, whose last header had this chain. */
  cut(lengthBytes: number, chain: number): void {
    this.#length = lengthBytes;
    this.#chain = chain;
  }

  /** Appends one record; `body` is empty for all types but put. Metadata may be given as they were encoded before. */
  add(facts: RecordFacts, metadata: Metadata | Uint8Array, body: Uint8Array): EncodedRecord {
    const at = this.#length;
    const tableBytes = 4 * pieceCount(body.length);
    this.#ensure(at + recordHeaderBytes + metadataBytesMax + body.length + tableBytes);
    const into = this.#buffer;
    const metadataAt = at + recordHeaderBytes;
    const metadataEnd = putMetadata(into, metadataAt, metadata);
    // Field by field: this runs for every write, and a spread costs as much as the rest of the header.
    const header: RecordHeader = {
      type: facts.type,
      flags: facts.flags,
      kind: facts.kind,
      producer: facts.producer,
      bodyBytes: facts.bodyBytes,
      id: facts.id,
      seq: facts.seq,
      version: facts.version,
      origin: facts.origin,
      digest: facts.digest,
      offsetBytes: this.#startBytes + at,
      chain: this.#chain,
      startsGroup: at === 0,
      metadataBytes: metadataEnd - metadataAt,
      metadataCrc: crc32(
        new Uint8Array(into.buffer, into.byteOffset + metadataAt, metadataEnd - metadataAt),
      ),
    };
    const crc = encodeRecordHeader(into, at, header, this.#seed);
    let end = metadataEnd;
    if (facts.type === recordTypes.put) {
      into.set(body, metadataEnd);
      end = encodePieceCrcs(into, metadataEnd, body.length, crc);
    }
    this.#length = end;
    this.#chain = crc;
    return { offsetBytes: header.offsetBytes, metadataBytes: header.metadataBytes, crc };
  }

  #ensure(length: number): void {
    if (length <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(length, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#replace(grown);
  }

  /** Frees the memory of the one before: the collector lets tens of megabytes of such buffers gather. */
  #replace(buffer: Buffer<ArrayBuffer>): void {
    const { buffer: memory } = this.#buffer;
    this.#buffer = buffer;
    memory.transfer(0);
  }
}

function putMetadata(into: Buffer, atBytes: number, metadata: Metadata | Uint8Array): number {
  if (!(metadata instanceof Uint8Array)) return encodeMetadata(into, atBytes, metadata);
  into.set(metadata, atBytes);
  return atBytes + metadata.length;
}

/** Integrity digest of a body that is committed from memory. */
export function bodyDigest(body: Uint8Array): bigint {
  return xxHash3(body);
}
