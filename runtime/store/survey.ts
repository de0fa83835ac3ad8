import type { Disk } from "../base/disk.ts";
import { Fault } from "../base/fault.ts";
import type { StoreFiles } from "./files.ts";
import { decodeFileHeader, type FileHeader, filePageBytes, formatVersion } from "./format.ts";

/** One segment as found on disk. */
export type FoundSegment = {
  readonly file: number;
  readonly sizeBytes: number;
  /** Null when both copies are damaged. */
  readonly header: FileHeader | null;
};

/** The segments that recovery has to look at, in the order of the log, with what they say of each other. */
export type LogSurvey = {
  readonly segments: readonly FoundSegment[];
  /** Durable ends that later headers state, by file. */
  readonly statedEnds: ReadonlyMap<number, number>;
};

/**
 * Reads the file headers from `fromFile` on. A last file with nothing but a broken header held nothing yet: it is
 * removed and its number stays burnt.
 * @throws Fault "formatTooNew" when a later version of Kura wrote one of them; nothing was changed then.
 */
export function surveyLog(disk: Disk, files: StoreFiles, fromFile: number): LogSurvey {
  const segments: FoundSegment[] = [];
  for (const file of files.segmentNumbers()) {
    if (file >= fromFile) segments.push(readSegment(disk, files, file));
  }
  // Only the very last file can be one that was just being made; the ones before it were in use.
  const last = segments.at(-1);
  if (last !== undefined && last.header === null && last.sizeBytes <= filePageBytes) {
    files.removeSegment(last.file);
    segments.pop();
  }
  return { segments, statedEnds: collectEnds(segments) };
}

/** Store id that the files agree on: the newest whole header's; null when there is none. */
export function storeIdOf(disk: Disk, files: StoreFiles): Uint8Array | null {
  const numbers = files.segmentNumbers();
  for (let i = numbers.length - 1; i >= 0; i--) {
    const { header } = readSegment(disk, files, numbers[i] ?? 0);
    if (header !== null) return header.storeId;
  }
  return null;
}

function readSegment(disk: Disk, files: StoreFiles, file: number): FoundSegment {
  const path = files.segmentPath(file);
  const handle = disk.open(path, "read");
  if (handle === null) return { file, sizeBytes: 0, header: null };
  try {
    const page = new Uint8Array(filePageBytes);
    handle.read(page, 0);
    const header = decodeFileHeader(page);
    if (header !== null && header.formatVersion > formatVersion) {
      const what = `it has format ${header.formatVersion}, this version knows up to ${formatVersion}`;
      throw new Fault("formatTooNew", `Cannot open ${path}: ${what}; use a newer Kura`);
    }
    const isOurs = header !== null && header.file === file;
    return { file, sizeBytes: handle.sizeBytes(), header: isOurs ? header : null };
  } finally {
    handle.close();
  }
}

function collectEnds(segments: readonly FoundSegment[]): Map<number, number> {
  const ends = new Map<number, number>();
  const note = (file: number, endBytes: number): void => {
    if (file > 0) ends.set(file, Math.min(ends.get(file) ?? Number.MAX_SAFE_INTEGER, endBytes));
  };
  for (const { header } of segments) {
    if (header === null) continue;
    note(header.predecessor, header.predecessorEndBytes);
    for (const burnt of header.burntEnds) note(burnt.file, burnt.endBytes);
  }
  return ends;
}
