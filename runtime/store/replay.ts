import { sha256 } from "../base/digest.ts";
import type { Disk } from "../base/disk.ts";
import { bytesKey, makeScope } from "./identity.ts";
import type { Index, Mark, Row, Tombstone } from "./index.ts";
import { recordTypes, rowDigest } from "./record.ts";
import { RecordScanner, type ScannedRecord, type ScanOptions } from "./scan.ts";
import type { Manifest } from "./store.ts";

/** Rows of one transaction of a replay: bounds the time that the loop stands still. */
export const replayBatchRows = 256;

const noWriter = new Uint8Array(8);

export type ReplayCounts = {
  records: number;
  damaged: number;
  missingFiles: number;
};

export type SegmentReplay = {
  readonly disk: Disk;
  readonly index: Index;
  readonly path: string;
  readonly scan: ScanOptions;
  /** In this file, at the place where the scan starts. */
  readonly mark: Mark;
  readonly holdsFile: (file: number) => boolean;
  readonly counts: ReplayCounts;
  /** Runs between transactions: lets the loop turn and reports how far the replay is. */
  readonly pause: (atBytes: number) => Promise<void>;
};

/**
 * Brings the rows of one segment into the index, in transactions that move the mark along, so that a kill in the
 * middle costs nothing. Returns the mark at the end of the last record taken.
 */
export async function replaySegment(replay: SegmentReplay): Promise<Mark> {
  const file = replay.disk.open(replay.path, "read");
  if (file === null) return replay.mark;
  let mark = replay.mark;
  try {
    const scanner = new RecordScanner(file, replay.scan);
    const tail = new DoubtfulTail(replay.mark);
    for (let isDone = false; !isDone; ) {
      const batch = new ReplayBatch(replay);
      isDone = fillBatch(scanner, batch, tail);
      mark = advanceMark(mark, batch, tail);
      if (!isDone || batch.size > 0) replay.index.apply(batch.toIndexBatch(mark));
      await replay.pause(scanner.atBytes);
    }
    replay.counts.damaged += scanner.damagedCount;
    return mark;
  } finally {
    file.close();
  }
}

/** Takes up to one transaction of records; true at the end of the segment. */
function fillBatch(scanner: RecordScanner, batch: ReplayBatch, tail: DoubtfulTail): boolean {
  while (batch.size < replayBatchRows) {
    const record = scanner.next();
    if (record === null) return true;
    tail.take(record, scanner.isOpenEnd, batch);
  }
  return false;
}

/**
 * Tells damage from a torn end. The first record of a group was written when everything before it was synced: what is
 * bad before it is damage, to be stepped over. Where no such record follows, the bad place is a torn end: the log
 * ends there, also for whole records of the same group behind it, or a later rebuild would read them differently.
 */
class DoubtfulTail {
  readonly #held: ScannedRecord[] = [];
  /** End of the last record that is beyond doubt, and the CRC of its header. */
  endBytes: number;
  chain: number;

  constructor(mark: Mark) {
    this.endBytes = mark.offsetBytes;
    this.chain = mark.chain;
  }

  take(record: ScannedRecord, isOpenEnd: boolean, batch: ReplayBatch): void {
    if (record.header.startsGroup || !isOpenEnd) this.#release(batch);
    const isSure = record.header.startsGroup || !record.isAfterDamage;
    if (isOpenEnd && (this.#held.length > 0 || !record.bodyIsGood || !isSure)) {
      this.#held.push(record);
    } else this.#give(record, batch);
  }

  /** Damaged ones get their row too: it makes them a miss, and not an older version. */
  #release(batch: ReplayBatch): void {
    for (const record of this.#held.splice(0)) this.#give(record, batch);
  }

  #give(record: ScannedRecord, batch: ReplayBatch): void {
    batch.add(record);
    this.endBytes = record.endBytes;
    this.chain = record.crc;
  }
}

function advanceMark(mark: Mark, batch: ReplayBatch, tail: DoubtfulTail): Mark {
  return {
    ...mark,
    offsetBytes: tail.endBytes,
    chain: tail.chain,
    seq: Math.max(mark.seq, batch.seqHigh),
    version: Math.max(mark.version, batch.versionHigh),
  };
}

/** Rows and tombstones of one transaction: per id the highest (version, origin), ties to the later record. */
class ReplayBatch {
  readonly #replay: SegmentReplay;
  readonly #rows = new Map<string, Row>();
  readonly #tombstones: Tombstone[] = [];
  size = 0;
  seqHigh = 0;
  versionHigh = 0;

  constructor(replay: SegmentReplay) {
    this.#replay = replay;
  }

  add(record: ScannedRecord): void {
    const { header } = record;
    this.size += 1;
    this.#replay.counts.records += 1;
    this.seqHigh = Math.max(this.seqHigh, header.seq);
    this.versionHigh = Math.max(this.versionHigh, header.version);
    if (header.type === recordTypes.tombstone) this.#addTombstone(record);
    else this.#addRow(record);
  }

  toIndexBatch(mark: Mark) {
    const rows = [...this.#rows.values()];
    return { rows, tombstones: this.#tombstones, mark, quarantined: [] };
  }

  #addTombstone(record: ScannedRecord): void {
    const { seq, version, origin, id } = record.header;
    this.#tombstones.push({ scopeHash: new Uint8Array(id.subarray(0, 16)), version, origin, seq });
  }

  #addRow(record: ScannedRecord): void {
    const { index, mark, holdsFile, counts } = this.#replay;
    const row = rowOf(record, mark.file);
    if (row === null) return;
    if (!holdsFile(row.file)) counts.missingFiles += 1;
    const key = bytesKey(row.id);
    const existing = this.#rows.get(key) ?? index.find(row.id);
    if (existing !== null && isNewer(existing, row)) return;
    const isMove = record.header.type === recordTypes.move;
    if (isMove && (existing === null || !isSameStamp(existing, row))) return;
    this.#rows.set(key, row);
  }
}

function isNewer(existing: Manifest, row: Manifest): boolean {
  if (existing.version !== row.version) return existing.version > row.version;
  return existing.origin > row.origin;
}

function isSameStamp(existing: Manifest, row: Manifest): boolean {
  return existing.version === row.version && existing.origin === row.origin;
}

/** The row that a record in this file stands for; null when a reference names no place. */
function rowOf({ header, metadata }: ScannedRecord, file: number): Row | null {
  const isPut = header.type === recordTypes.put;
  const place = metadata.place;
  if (!isPut && place === null) return null;
  const scope = makeScope(metadata.tenant, metadata.namespace);
  return {
    id: header.id,
    file: place?.file ?? file,
    offsetBytes: place?.offsetBytes ?? header.offsetBytes,
    metadataBytes: place?.metadataBytes ?? header.metadataBytes,
    sizeBytes: header.bodyBytes,
    seq: header.seq,
    version: header.version,
    origin: header.origin,
    digest: rowDigest(header.digest),
    kind: header.kind,
    producer: header.producer,
    flags: header.flags,
    scopeHash: scope.hash,
    writerHash: metadata.writer === "" ? noWriter : sha256(metadata.writer).slice(0, 8),
  };
}
