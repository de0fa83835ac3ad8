import type { Clock } from "../base/clock.ts";
import { crc32, sha256 } from "../base/digest.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import type { LoopSteps } from "../base/loop-steps.ts";
import { MiB } from "../base/units.ts";
import { type CatalogView, peekRow } from "./catalog-view.ts";
import type { CopyChange } from "./copy-change.ts";
import type { CopyRoom } from "./copy-room.ts";
import { fileSeed } from "./format.ts";
import { bytesKey, makeScope } from "./identity.ts";
import type { KeepPolicy, Verdict } from "./keep-policy.ts";
import type { Maintenance } from "./maintenance.ts";
import { decodeMetadata } from "./metadata.ts";
import {
  bodyIsWhole,
  decodeRecordHeader,
  headerCrc,
  pieceCount,
  type RecordHeader,
  recordHeaderBytes,
  recordTypes,
} from "./record.ts";
import type { RecordPage } from "./record-page.ts";
import type { Outcome } from "./store.ts";

/** One step on the loop: as many rows, or as long, whichever comes first. @source design.md 2. */
const stepRowsMax = 32;
const stepMsMax = 2;
/** Bytes that are read again in one step. */
const stepBytesMax = 1 * MiB;

const noWriter = new Uint8Array(8);

export type DrainCounts = {
  evicted: number;
  evictedBytes: number;
  copied: number;
  copiedBytes: number;
};

export type DrainTarget = {
  readonly view: CatalogView;
  readonly storeId: Uint8Array;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly maintenance: Maintenance;
  readonly commit: (change: CopyChange) => Promise<Outcome>;
  readonly nextTurn: () => Promise<void>;
  readonly steps: LoopSteps;
  readonly copyRoom: CopyRoom;
  /** False when the store stopped: the drain ends where it is, and goes on another time. */
  readonly mayGoOn: () => boolean;
  /** Waits until so many bytes can be written before anything of this file is free; false when that takes too long. */
  readonly roomToCopy: (bytes: number) => Promise<boolean>;
  /** A row is gone. `isLeased`: before its time. */
  readonly onEvicted: (record: DrainRecord) => void;
};

/** One record of the page at hand. */
export type DrainRecord = {
  readonly id: Uint8Array;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly sizeBytes: number;
  readonly version: number;
  readonly type: number;
  readonly kind: number;
  readonly flags: number;
  readonly placeFile: number;
};

/**
 * How a drain ended. `empty`: no row names the file any more. `left`: it had to end before that. `spoilt`: something that
 * counts cannot be written again, so that the file keeps it, and its turn.
 */
export type DrainEnd = "empty" | "left" | "spoilt";

/**
 * Empties a sealed segment: what is to stay is written again at the end of the log, all other rows go. `keepsAll`: it is
 * mostly dead already and not the oldest, so whatever still counts has to stay: an older segment may have an older value
 * of the same key, which an index that is made anew would find.
 */
export async function drainSegment(
  target: DrainTarget,
  file: number,
  { policy, keepsAll, counts }: { policy: KeepPolicy; keepsAll: boolean; counts: DrainCounts },
): Promise<DrainEnd> {
  const { view, disk, storeId, maintenance } = target;
  const path = view.files.segmentPath(file);
  const handle = disk.open(path, "read");
  if (handle === null) return "empty";
  const drain = new Drain(target, { file, handle, policy, keepsAll, counts });
  try {
    let startBytes = 0;
    for (;;) {
      const page = await maintenance.readRecords(path, {
        seed: fileSeed(storeId, file),
        startBytes,
        endBytes: view.files.sizeOf(file),
      });
      const end = await drain.takePage(page);
      if (end !== "empty" || page.isLast) return end;
      startBytes = page.endBytes;
    }
  } finally {
    handle.close();
  }
}

type DrainParts = {
  readonly file: number;
  readonly handle: DiskFile;
  readonly policy: KeepPolicy;
  readonly keepsAll: boolean;
  readonly counts: DrainCounts;
};

type Kept = { readonly record: DrainRecord; readonly verdict: Verdict };

class Drain {
  readonly #target: DrainTarget;
  readonly #parts: DrainParts;
  #isSpoilt = false;

  constructor(target: DrainTarget, parts: DrainParts) {
    this.#target = target;
    this.#parts = parts;
  }

  async takePage(page: RecordPage): Promise<DrainEnd> {
    for (let at = 0; at < page.count; ) {
      if (!this.#target.mayGoOn()) return "left";
      const from = at;
      const step = this.#target.steps.run("evict", () => this.#step(page, from));
      if (this.#isSpoilt) return "spoilt";
      at = step.endAt;
      if (!(await this.#copy(step.copies))) return "left";
      await this.#target.nextTurn();
    }
    return "empty";
  }

  /** Everything of one step that needs no waiting: rows that go, and records to be written again. */
  #step(page: RecordPage, from: number): { endAt: number; copies: readonly Copy[] } {
    const { clock, copyRoom } = this.#target;
    copyRoom.clear();
    const endMs = clock.monotonicMs() + stepMsMax;
    const gone: DrainRecord[] = [];
    const cleaned: DrainRecord[] = [];
    const copies: Copy[] = [];
    let readBytes = 0;
    let at = from;
    for (; at < page.count && at - from < stepRowsMax; at++) {
      if (readBytes > stepBytesMax || (at > from && clock.monotonicMs() > endMs)) break;
      const record = recordAt(page, at);
      const verdict = this.#judge(record);
      if (verdict === "gone") {
        if (record.type === recordTypes.put) gone.push(record);
        continue;
      }
      readBytes += record.type === recordTypes.put ? record.lengthBytes : 0;
      const change = this.#read(record);
      if (change === "cleaned") {
        if (record.type === recordTypes.put) cleaned.push(record);
      } else if (change !== null) copies.push({ record, verdict, change });
      else if (this.#parts.keepsAll) this.#isSpoilt = true;
      else if (record.type === recordTypes.put) gone.push(record);
    }
    if (!this.#isSpoilt) {
      this.#evict(gone, true);
      this.#evict(cleaned, false);
    }
    return { endAt: at, copies };
  }

  #judge(record: DrainRecord): Verdict {
    const { view } = this.#target;
    const { policy, keepsAll, file } = this.#parts;
    if (record.type === recordTypes.tombstone) {
      const key = bytesKey(record.id.subarray(0, 16));
      return view.tombstones.versionOf(key) === record.version ? "kept" : "gone";
    }
    if (record.type !== recordTypes.put) return this.#judgeReference(record);
    const verdict = keepsAll ? "kept" : policy.judge(record, record.lengthBytes);
    if (verdict === "gone") return "gone";
    // Only now is it worth a look-up: whether it still counts.
    const row = peekRow(view, record.id);
    const counts = row !== null && row.file === file && row.offsetBytes === record.offsetBytes;
    if (!counts) return "gone";
    if (!view.quarantine.holds(row.id, row.version)) return verdict;
    if (keepsAll) this.#isSpoilt = true;
    return "gone";
  }

  /** The file that it names has an age of its own: as long as that stays, the log has to name it. */
  #judgeReference(record: DrainRecord): Verdict {
    const { view } = this.#target;
    const row = peekRow(view, record.id);
    if (row !== null && row.file === record.placeFile && row.version === record.version) {
      return view.files.holds(record.placeFile) ? "kept" : "gone";
    }
    // Its file was evicted: the record is all that says that an older value does not count.
    if (row === null && this.#parts.keepsAll) this.#isSpoilt = true;
    return "gone";
  }

  /** `isLoss`: they could have been read until now. */
  #evict(gone: readonly DrainRecord[], isLoss: boolean): void {
    if (gone.length === 0) return;
    const { view, onEvicted } = this.#target;
    const { file, counts } = this.#parts;
    const evicted = view.index.evict(file, gone);
    gone.forEach((record, i) => {
      if (evicted[i] !== true) return;
      view.cache.drop(record.id);
      if (!isLoss) return;
      counts.evicted += 1;
      counts.evictedBytes += record.sizeBytes;
      onEvicted(record);
    });
  }

  async #copy(copies: readonly Copy[]): Promise<boolean> {
    if (copies.length === 0) return true;
    const { policy, counts } = this.#parts;
    let bytes = 0;
    for (const { record } of copies) bytes += record.lengthBytes;
    if (!(await this.#target.roomToCopy(bytes))) return false;
    const outcomes = await Promise.allSettled(
      copies.map(({ change }) => this.#target.commit(change)),
    );
    let isDone = true;
    for (const [i, outcome] of outcomes.entries()) {
      const { record, verdict } = copies[i]!;
      if (outcome.status === "rejected") isDone = false;
      else if (outcome.value.at !== "absent") {
        policy.noteKept(verdict, record.lengthBytes);
        counts.copied += 1;
        counts.copiedBytes += record.lengthBytes;
      }
    }
    return isDone;
  }

  /** The record as it will be written again; null when it is damaged. */
  #read(record: DrainRecord): CopyChange | "cleaned" | null {
    const { view, storeId, copyRoom } = this.#target;
    const { file, handle } = this.#parts;
    const bytes = copyRoom.take(record.lengthBytes);
    try {
      if (handle.read(bytes, record.offsetBytes) !== bytes.length) return null;
    } catch {
      // A sector that cannot be read is damage: it goes with the file.
      return null;
    }
    const header = decodeRecordHeader(bytes, 0, {
      seed: fileSeed(storeId, file),
      offsetBytes: record.offsetBytes,
    });
    if (header === null || !isWhole(bytes, header)) return null;
    const bodyAt = recordHeaderBytes + header.metadataBytes;
    const encoded = bytes.subarray(recordHeaderBytes, bodyAt);
    const metadata = decodeMetadata(encoded);
    if (metadata === null) return null;
    const isPut = header.type === recordTypes.put;
    const scope = makeScope(metadata.tenant, metadata.namespace);
    const isCleaned = header.version <= view.tombstones.versionOf(scope.hashKey);
    if (header.type !== recordTypes.tombstone && isCleaned) return "cleaned";
    return {
      op: "copy",
      header,
      metadata: encoded,
      body: isPut ? bytes.subarray(bodyAt, bodyAt + header.bodyBytes) : noBytes,
      fromFile: file,
      placeFile: record.placeFile,
      scopeHash: scope.hash,
      writerHash: metadata.writer === "" ? noWriter : sha256(metadata.writer).slice(0, 8),
    };
  }
}

type Copy = Kept & { readonly change: CopyChange };

const noBytes = new Uint8Array(0);

function isWhole(bytes: Uint8Array, header: RecordHeader): boolean {
  const bodyAt = recordHeaderBytes + header.metadataBytes;
  if (crc32(bytes.subarray(recordHeaderBytes, bodyAt)) !== header.metadataCrc) return false;
  if (header.type !== recordTypes.put) return true;
  if (bytes.length < bodyAt + header.bodyBytes + 4 * pieceCount(header.bodyBytes)) return false;
  return bodyIsWhole(bytes, bodyAt, header.bodyBytes, headerCrc(bytes, 0));
}

function recordAt(page: RecordPage, at: number): DrainRecord {
  return {
    id: page.ids.subarray(32 * at, 32 * at + 32),
    offsetBytes: page.offsets[at]!,
    lengthBytes: page.lengths[at]!,
    sizeBytes: page.sizes[at]!,
    version: page.versions[at]!,
    type: page.types[at]!,
    kind: page.kinds[at]!,
    flags: page.flags[at]!,
    placeFile: page.places[at]!,
  };
}
