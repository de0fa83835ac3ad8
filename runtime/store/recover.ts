import type { Disk, DiskFile } from "../base/disk.ts";
import { asFault, Fault } from "../base/fault.ts";
import type { Random } from "../base/random.ts";
import { MiB } from "../base/units.ts";
import type { StoreFiles } from "./files.ts";
import { type BurntEnd, chainStart, filePageBytes, fileSeed } from "./format.ts";
import {
  closeQuietly,
  type Index,
  type IndexHome,
  type Mark,
  type Quarantined,
  type Tombstone,
} from "./index.ts";
import type { LogTail } from "./journal.ts";
import { type ReplayCounts, replaySegment } from "./replay.ts";
import { RecordScanner } from "./scan.ts";
import { type FoundSegment, type LogSurvey, storeIdOf, surveyLog } from "./survey.ts";

export type RecoveryOptions = {
  readonly disk: Disk;
  readonly dataDir: string;
  readonly random: Random;
  readonly home: IndexHome;
  readonly files: StoreFiles;
  /** Durable ends that this process knows of, when it recovers from its own failure. */
  readonly knownEnds: ReadonlyMap<number, number>;
  readonly progress: (doneBytes: number, totalBytes: number) => void;
  /** Is told of the index as soon as it is open. */
  readonly opened: (index: Index) => void;
  /** Lets the loop turn between transactions; a throw ends the recovery, which closes the index as it is. */
  readonly pause: () => Promise<void>;
  readonly note: (event: string, details: Record<string, unknown>) => void;
};

export type Recovery = {
  readonly index: Index;
  readonly storeId: Uint8Array;
  readonly mark: Mark;
  readonly tail: LogTail;
  readonly burntEnds: ReadonlyMap<number, number>;
  readonly tombstones: readonly Tombstone[];
  readonly quarantined: readonly Quarantined[];
  readonly wasRebuilt: boolean;
};

/** Torn tails are kept for a human up to this size each, and this many. */
const tornTailBytesMax = 32 * MiB;
const tornTailsMax = 8;

/** Bytes of one read and write when the end of the log is written over itself. */
const rewriteStepBytes = 4 * MiB;

/**
 * Makes the index say what the log says: from the mark on, or from the beginning when the index is new, was lost or
 * cannot be believed. Shortens no file, removes nothing but a last file that never held a record.
 */
export async function recover(options: RecoveryOptions): Promise<Recovery> {
  const { disk, dataDir, files, note } = options;
  files.survey();
  // Before anything is changed: the newest header tells whether a later version of Kura was here.
  const ofFiles = storeIdOf(disk, files);
  const opened = openIndex(options, ofFiles);
  const { index, storeId } = opened;
  options.opened(index);
  try {
    let mark = index.mark();
    if (mark === null) throw new Fault("damaged", "The index has no mark");
    files.raiseHigh(mark.fileHigh);
    const survey = surveyLog(disk, files, mark.file);
    const ends = mergeEnds(survey.statedEnds, options.knownEnds);
    if (isAhead(mark, survey, ends)) throw new Fault("damaged", "The index is ahead of the log");
    syncLast(options, survey, mark);
    const counts: ReplayCounts = { records: 0, damaged: 0, missingFiles: 0 };
    mark = await replayAll({ options, opened, survey, ends, mark, counts });
    const tail = findTail(survey, mark, ends);
    keepTornTail(options, survey, tail);
    const allEnds = tail.file > 0 ? new Map([...ends, [tail.file, tail.endBytes]]) : ends;
    const burntEnds = findBurntEnds(options, storeId, allEnds);
    note("recovered", {
      ...counts,
      rebuilt: opened.wasRebuilt,
      file: tail.file,
      end: tail.endBytes,
    });
    // Read here, where damage still leads to a rebuild.
    const tombstones = index.tombstones();
    const quarantined = index.quarantined();
    const wasRebuilt = opened.wasRebuilt;
    return { index, storeId, mark, tail, burntEnds, tombstones, quarantined, wasRebuilt };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "damaged" || opened.wasRebuilt) {
      closeQuietly(index);
      throw error;
    }
    index.drop();
    note("index set aside", { reason: error.message, dataDir });
    options.home.setAside();
    return recover(options);
  }
}

type OpenedIndex = {
  readonly index: Index;
  readonly storeId: Uint8Array;
  readonly wasRebuilt: boolean;
};

/** The index of this store, made anew where there is none that can be believed. */
function openIndex(options: RecoveryOptions, ofFiles: Uint8Array | null): OpenedIndex {
  const { home, files, random, note } = options;
  let isNew = !home.exists();
  let index: Index;
  try {
    index = home.open();
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== "damaged") throw error;
    note("index set aside", { reason: error.message });
    home.setAside();
    index = home.open();
    isNew = true;
  }
  const identity = index.identity();
  if (identity === null) {
    const storeId = ofFiles ?? random.bytes(16);
    index.adopt({ storeId }, firstMark(files));
    return { index, storeId, wasRebuilt: ofFiles !== null };
  }
  if (ofFiles !== null && !sameBytes(ofFiles, identity.storeId)) {
    note("index set aside", { reason: "it belongs to another store" });
    index.close();
    home.setAside();
    return openIndex(options, ofFiles);
  }
  return { index, storeId: identity.storeId, wasRebuilt: isNew };
}

function firstMark(files: StoreFiles): Mark {
  return { file: 0, offsetBytes: 0, chain: 0, seq: 0, version: 0, fileHigh: files.high };
}

/** A mark beyond what the log holds: rows may name records that were never acknowledged. */
function isAhead(mark: Mark, survey: LogSurvey, ends: ReadonlyMap<number, number>): boolean {
  const segment = survey.segments.find((found) => found.file === mark.file);
  if (segment === undefined) return false;
  const endBytes = Math.min(ends.get(mark.file) ?? segment.sizeBytes, segment.sizeBytes);
  return mark.offsetBytes > endBytes;
}

/**
 * A killed process leaves records in the page cache only: they must be durable before anybody sees them.
 * A file whose end this process knows was judged already and is never synced again.
 */
function syncLast(
  options: Pick<RecoveryOptions, "disk" | "files" | "knownEnds">,
  survey: LogSurvey,
  mark: Mark,
): void {
  const { disk, files, knownEnds } = options;
  const last = survey.segments.at(-1);
  if (last === undefined || knownEnds.has(last.file)) return;
  const file = disk.open(files.segmentPath(last.file), "readWrite");
  if (file === null) return;
  try {
    rewrite(file, mark.file === last.file ? mark.offsetBytes : 0);
    file.sync();
  } catch (error) {
    const what = `Cannot make ${file.path} durable: ${asFault(error).message}`;
    throw new Fault("dataDirectory", `${what}; check the disk, then start again`, { cause: error });
  } finally {
    file.close();
  }
}

/**
 * Writes what the index has not followed yet over itself. The process before may have died of a failed sync, after
 * which the system takes its pages for written: only new writes make the next sync bring them to the disk.
 */
function rewrite(file: DiskFile, startBytes: number): void {
  const sizeBytes = file.sizeBytes();
  const buffer = new Uint8Array(Math.min(rewriteStepBytes, Math.max(0, sizeBytes - startBytes)));
  for (let at = startBytes; at < sizeBytes; at += rewriteStepBytes) {
    const step = buffer.subarray(0, Math.min(buffer.length, sizeBytes - at));
    if (!rewriteStep(file, step, at)) rewritePages(file, step, at);
  }
}

/** Page by page where a stretch has a sector that cannot be read: that one is damage for the replay to step over. */
function rewritePages(file: DiskFile, stretch: Uint8Array, atBytes: number): void {
  for (let at = 0; at < stretch.length; at += filePageBytes) {
    const page = stretch.subarray(at, Math.min(at + filePageBytes, stretch.length));
    rewriteStep(file, page, atBytes + at);
  }
}

/** False when the stretch cannot be read; a write that fails is thrown. */
function rewriteStep(file: DiskFile, into: Uint8Array, atBytes: number): boolean {
  let count: number;
  try {
    count = file.read(into, atBytes);
  } catch {
    return false;
  }
  file.write(into.subarray(0, count), atBytes);
  return true;
}

type ReplayAll = {
  readonly options: RecoveryOptions;
  readonly opened: OpenedIndex;
  readonly survey: LogSurvey;
  readonly ends: ReadonlyMap<number, number>;
  readonly mark: Mark;
  readonly counts: ReplayCounts;
};

async function replayAll(all: ReplayAll): Promise<Mark> {
  const { options, opened, survey, ends, counts } = all;
  const { disk, files, pause, progress } = options;
  const segments = survey.segments;
  const totalBytes = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  const last = segments.at(-1);
  let mark = all.mark;
  let doneBytes = 0;
  for (const segment of segments) {
    const isMarked = segment.file === mark.file;
    const isOpenEnd = segment === last && !ends.has(segment.file);
    const startBytes = isMarked ? mark.offsetBytes : filePageBytes;
    const chain = isMarked ? mark.chain : chainOf(segment);
    const endBytes = Math.min(ends.get(segment.file) ?? segment.sizeBytes, segment.sizeBytes);
    mark = await replaySegment({
      disk,
      index: opened.index,
      path: files.segmentPath(segment.file),
      scan: {
        seed: fileSeed(opened.storeId, segment.file),
        startBytes,
        endBytes,
        chain,
        onDamage: "search",
        checksBodies: isOpenEnd,
      },
      mark: { ...mark, file: segment.file, offsetBytes: startBytes, chain: chain ?? 0 },
      holdsFile: (file) => files.holds(file),
      counts,
      pause: (atBytes) => {
        progress(doneBytes + atBytes, totalBytes);
        return pause();
      },
    });
    doneBytes += segment.sizeBytes;
  }
  return mark;
}

function chainOf(segment: FoundSegment): number | null {
  return segment.header === null ? null : chainStart(segment.header);
}

/** Where the log ends: what the next segment's header will state of the last one. */
function findTail(survey: LogSurvey, mark: Mark, ends: ReadonlyMap<number, number>): LogTail {
  const last = survey.segments.at(-1);
  if (last === undefined) return { file: 0, endBytes: 0, chain: 0 };
  const endBytes = ends.get(last.file) ?? Math.max(mark.offsetBytes, filePageBytes);
  return { file: last.file, endBytes, chain: mark.chain };
}

/** Copies what lies beyond the end of the log aside, for a human; failing to is no reason not to start. */
function keepTornTail(options: RecoveryOptions, survey: LogSurvey, tail: LogTail): void {
  const { disk, dataDir, files, note } = options;
  const last = survey.segments.at(-1);
  if (last === undefined || options.knownEnds.has(last.file)) return;
  const tornBytes = last.sizeBytes - tail.endBytes;
  if (tornBytes <= 0) return;
  note("torn tail", { file: tail.file, end: tail.endBytes, bytes: tornBytes });
  const path = `${dataDir}/aside/torn-${tail.file}-${tail.endBytes}`;
  try {
    const kept = disk.list(`${dataDir}/aside`).filter((name) => name.startsWith("torn-"));
    if (kept.length >= tornTailsMax || disk.sizeBytes(path) !== null) return;
    copyRange(disk, files.segmentPath(tail.file), path, tail.endBytes, tornBytes);
  } catch (error) {
    note("torn tail not kept", { reason: String(error) });
  }
}

function copyRange(
  disk: Disk,
  from: string,
  to: string,
  atBytes: number,
  lengthBytes: number,
): void {
  const source = disk.open(from, "read");
  if (source === null) return;
  const bytes = new Uint8Array(Math.min(lengthBytes, tornTailBytesMax));
  source.read(bytes, atBytes);
  source.close();
  const target = disk.create(to);
  target.write(bytes, 0);
  target.close();
}

/**
 * Every segment with whole records beyond its durable end, so that each later header can repeat the end. A torn tail
 * that holds none ends the log by itself; a node that is killed often must not fill the list with those.
 */
function findBurntEnds(
  options: Pick<RecoveryOptions, "disk" | "files">,
  storeId: Uint8Array,
  all: ReadonlyMap<number, number>,
): Map<number, number> {
  const burnt = new Map<number, number>();
  for (const [file, endBytes] of all) {
    if (holdsRecordBeyond(options, storeId, { file, endBytes })) burnt.set(file, endBytes);
  }
  return burnt;
}

function holdsRecordBeyond(
  { disk, files }: Pick<RecoveryOptions, "disk" | "files">,
  storeId: Uint8Array,
  { file, endBytes }: BurntEnd,
): boolean {
  const handle = disk.open(files.segmentPath(file), "read");
  if (handle === null) return false;
  try {
    const sizeBytes = handle.sizeBytes();
    if (sizeBytes <= endBytes) return false;
    const scanner = new RecordScanner(handle, {
      seed: fileSeed(storeId, file),
      startBytes: endBytes,
      endBytes: sizeBytes,
      chain: null,
      onDamage: "search",
      checksBodies: false,
    });
    return scanner.next() !== null;
  } finally {
    handle.close();
  }
}

function mergeEnds(stated: ReadonlyMap<number, number>, known: ReadonlyMap<number, number>) {
  const ends = new Map(stated);
  for (const [file, endBytes] of known) {
    ends.set(file, Math.min(ends.get(file) ?? Number.MAX_SAFE_INTEGER, endBytes));
  }
  return ends;
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
