import type { DiskFile } from "../base/disk.ts";
import { recordTypes } from "./record.ts";
import { RecordScanner, type ScanOptions } from "./scan.ts";

/** Records of one page at most: 64 bytes each in a message. */
export const pageRecordsMax = 4_096;

/** Which stretch of a segment to read; see `ScanOptions`. */
export type RecordRange = Pick<ScanOptions, "seed" | "startBytes" | "endBytes">;

/** What the headers of consecutive records say: one place of each array for each record. */
export type RecordPage = {
  readonly count: number;
  /** Where the next page starts. */
  readonly endBytes: number;
  readonly isLast: boolean;
  /** 32 bytes each. */
  readonly ids: Uint8Array;
  readonly offsets: Float64Array;
  /** Length of the whole record on disk. */
  readonly lengths: Float64Array;
  readonly sizes: Float64Array;
  readonly versions: Float64Array;
  readonly types: Uint8Array;
  readonly kinds: Uint8Array;
  readonly flags: Uint8Array;
  /** File of the body of a reference; 0 for all other records. */
  readonly places: Float64Array;
};

/** Reads the headers of the next records of a segment; what is damaged is passed by. Yields after each window. */
export function* readRecordPage(
  file: DiskFile,
  range: RecordRange,
  limit = pageRecordsMax,
): Generator<void, RecordPage> {
  const scanner = new RecordScanner(file, {
    ...range,
    chain: null,
    onDamage: "search",
    checksBodies: false,
  });
  const page = new PageBuilder(limit);
  let isLast = false;
  while (page.count < limit) {
    const record = scanner.next();
    if (record === null) {
      isLast = true;
      break;
    }
    const { header, metadata, endBytes } = record;
    const at = page.count;
    page.count += 1;
    page.ids.set(header.id, 32 * at);
    page.offsets[at] = header.offsetBytes;
    page.lengths[at] = endBytes - header.offsetBytes;
    page.sizes[at] = header.bodyBytes;
    page.versions[at] = header.version;
    page.types[at] = header.type;
    page.kinds[at] = header.kind;
    page.flags[at] = header.flags;
    page.places[at] = header.type === recordTypes.put ? 0 : (metadata.place?.file ?? 0);
    if (page.count % recordsPerStep === 0) yield;
  }
  return page.end(scanner.atBytes, isLast);
}

/** Others have their turn after so many records: about a millisecond. */
const recordsPerStep = 512;

class PageBuilder {
  count = 0;
  readonly ids: Uint8Array;
  readonly offsets: Float64Array;
  readonly lengths: Float64Array;
  readonly sizes: Float64Array;
  readonly versions: Float64Array;
  readonly types: Uint8Array;
  readonly kinds: Uint8Array;
  readonly flags: Uint8Array;
  readonly places: Float64Array;

  constructor(limit: number) {
    this.ids = new Uint8Array(32 * limit);
    this.offsets = new Float64Array(limit);
    this.lengths = new Float64Array(limit);
    this.sizes = new Float64Array(limit);
    this.versions = new Float64Array(limit);
    this.types = new Uint8Array(limit);
    this.kinds = new Uint8Array(limit);
    this.flags = new Uint8Array(limit);
    this.places = new Float64Array(limit);
  }

  end(endBytes: number, isLast: boolean): RecordPage {
    const { count } = this;
    return {
      count,
      endBytes,
      isLast,
      ids: this.ids.slice(0, 32 * count),
      offsets: this.offsets.slice(0, count),
      lengths: this.lengths.slice(0, count),
      sizes: this.sizes.slice(0, count),
      versions: this.versions.slice(0, count),
      types: this.types.slice(0, count),
      kinds: this.kinds.slice(0, count),
      flags: this.flags.slice(0, count),
      places: this.places.slice(0, count),
    };
  }
}

/** Of a file that is gone. */
export const emptyPage: RecordPage = new PageBuilder(0).end(0, true);
