import { filePageBytes } from "./format.ts";
import { bytesKey } from "./identity.ts";
import type { Row } from "./index.ts";
import { pieceCount, recordHeaderBytes } from "./record.ts";
import { manifestFlags } from "./store.ts";

/**
 * Holdings that a census tells apart, by bytes; the rest is one sum. A scope costs 300 bytes while it is counted, and
 * clients choose scopes, so there has to be an end.
 */
export const holdingsMax = 8_192;

/** What the census takes of a row. */
export type CensusRow = Pick<
  Row,
  | "file"
  | "offsetBytes"
  | "metadataBytes"
  | "sizeBytes"
  | "version"
  | "producer"
  | "flags"
  | "scopeHash"
>;

/** A sum of artifacts; bytes are those on disk, headers and checksums counted. */
export type Sum = { readonly artifactCount: number; readonly bytes: number };

/**
 * Artifacts by scope and producer, the largest holdings first. Columns of equal length and no objects, because the
 * serving loop would stand still for 30 ms while it takes in 8,192 of them.
 */
export type Holdings = {
  readonly count: number;
  /** 16 bytes each. */
  readonly scopeHashes: Uint8Array;
  readonly producers: Uint8Array;
  readonly artifactCounts: Float64Array;
  readonly bytes: Float64Array;
  readonly oldestVersions: Float64Array;
  readonly newestVersions: Float64Array;
  /** Where the newest artifact lies: its record, or its file, says the names of the scope. */
  readonly files: Float64Array;
  readonly offsetsBytes: Float64Array;
  readonly metadataBytes: Float64Array;
  /** 1 when that file is one of its own. */
  readonly areLarge: Uint8Array;
  /** 1 when a part of this holding may have been counted among the others, because there were too many. */
  readonly arePartial: Uint8Array;
};

/** What lives in each segment, in order of their numbers; a segment without a live row is not in it. */
export type LiveSegments = {
  readonly files: Float64Array;
  readonly liveBytes: Float64Array;
  readonly liveRows: Float64Array;
  /** Version of the newest artifact in it. */
  readonly newestVersions: Float64Array;
};

/**
 * What the rows of an index stand for. Artifacts in quarantine count like all others; the records in segments that only
 * refer to large files do not count.
 */
export type Census = {
  readonly total: Sum;
  /** Of `total`, in files of their own. */
  readonly large: Sum;
  /** Under a tombstone, not in `total`: they cannot be read and go with their files. */
  readonly cleaned: Sum;
  /** Rows that say that a key was deleted. */
  readonly deletedCount: number;
  readonly holdings: Holdings;
  /** Artifacts of holdings beyond the bound. */
  readonly others: Sum;
  readonly segments: LiveSegments;
};

const scopeHashBytes = 16;

type Holding = {
  readonly scopeHash: Uint8Array;
  readonly producer: number;
  readonly isPartial: boolean;
  artifactCount: number;
  bytes: number;
  oldestVersion: number;
  newest: CensusRow;
};

type Live = { bytes: number; rows: number; newestVersion: number };
type Counted = { artifactCount: number; bytes: number };

/** Sums up rows in any order; each id once. */
export class CensusTally {
  readonly #cleanedVersions: ReadonlyMap<string, number>;
  readonly #key = Buffer.alloc(scopeHashBytes + 1);
  readonly #holdingsMax: number;
  readonly #holdings = new Map<string, Holding>();
  readonly #segments = new Map<number, Live>();
  readonly #total: Counted = { artifactCount: 0, bytes: 0 };
  readonly #large: Counted = { artifactCount: 0, bytes: 0 };
  readonly #cleaned: Counted = { artifactCount: 0, bytes: 0 };
  readonly #others: Counted = { artifactCount: 0, bytes: 0 };
  #deletedCount = 0;
  #hasFolded = false;

  /** `cleanedVersions`: versions of tombstones by `bytesKey` of the scope's hash. */
  constructor(cleanedVersions: ReadonlyMap<string, number>, countMax = holdingsMax) {
    this.#cleanedVersions = cleanedVersions;
    this.#holdingsMax = countMax;
  }

  add(row: CensusRow): void {
    if ((row.flags & manifestFlags.deleted) !== 0) {
      this.#deletedCount += 1;
      return;
    }
    const bytes = bytesOnDisk(row);
    if (this.#isCleaned(row)) {
      count(this.#cleaned, bytes);
      return;
    }
    count(this.#total, bytes);
    if ((row.flags & manifestFlags.large) !== 0) count(this.#large, bytes);
    else this.#addToSegment(row, bytes);
    this.#addToHolding(row, bytes);
  }

  finish(): Census {
    const holdings = this.#largestFirst();
    for (const holding of holdings.splice(this.#holdingsMax)) this.#fold(holding);
    return {
      total: this.#total,
      large: this.#large,
      cleaned: this.#cleaned,
      deletedCount: this.#deletedCount,
      holdings: columnsOf(holdings),
      others: this.#others,
      segments: liveSegments(this.#segments),
    };
  }

  #isCleaned({ scopeHash, version }: CensusRow): boolean {
    if (this.#cleanedVersions.size === 0) return false;
    return version <= (this.#cleanedVersions.get(bytesKey(scopeHash)) ?? 0);
  }

  #addToSegment({ file, version }: CensusRow, bytes: number): void {
    const live = this.#segments.get(file);
    if (live === undefined) {
      this.#segments.set(file, { bytes, rows: 1, newestVersion: version });
      return;
    }
    live.bytes += bytes;
    live.rows += 1;
    if (version > live.newestVersion) live.newestVersion = version;
  }

  #addToHolding(row: CensusRow, bytes: number): void {
    this.#key.set(row.scopeHash);
    this.#key[scopeHashBytes] = row.producer;
    const key = this.#key.latin1Slice(0, this.#key.length);
    const holding = this.#holdings.get(key);
    if (holding === undefined) {
      this.#begin(key, row, bytes);
      return;
    }
    holding.artifactCount += 1;
    holding.bytes += bytes;
    if (row.version < holding.oldestVersion) holding.oldestVersion = row.version;
    if (row.version > holding.newest.version) holding.newest = row;
  }

  #begin(key: string, row: CensusRow, bytes: number): void {
    if (this.#holdings.size >= 2 * this.#holdingsMax) this.#foldSmaller();
    this.#holdings.set(key, {
      scopeHash: row.scopeHash,
      producer: row.producer,
      isPartial: this.#hasFolded,
      artifactCount: 1,
      bytes,
      oldestVersion: row.version,
      newest: row,
    });
  }

  /** Rows come in the order of their ids, which is no order at all: what is large shows early and is never folded. */
  #foldSmaller(): void {
    this.#hasFolded = true;
    const kept = new Set(this.#largestFirst().slice(0, this.#holdingsMax));
    for (const [key, holding] of this.#holdings) {
      if (kept.has(holding)) continue;
      this.#holdings.delete(key);
      this.#fold(holding);
    }
  }

  #fold({ artifactCount, bytes }: Holding): void {
    this.#others.artifactCount += artifactCount;
    this.#others.bytes += bytes;
  }

  #largestFirst(): Holding[] {
    return [...this.#holdings.values()].sort((left, right) => right.bytes - left.bytes);
  }
}

/** What an artifact takes on disk: its record with header, metadata and checksums, or its file. */
export function bytesOnDisk(row: Pick<CensusRow, "flags" | "metadataBytes" | "sizeBytes">): number {
  const isLarge = (row.flags & manifestFlags.large) !== 0;
  const headBytes = isLarge ? filePageBytes : recordHeaderBytes + row.metadataBytes;
  return headBytes + row.sizeBytes + 4 * pieceCount(row.sizeBytes);
}

function count(sum: Counted, bytes: number): void {
  sum.artifactCount += 1;
  sum.bytes += bytes;
}

function columnsOf(holdings: readonly Holding[]): Holdings {
  const numbers = (read: (holding: Holding) => number): Float64Array =>
    Float64Array.from(holdings, read);
  const marks = (read: (holding: Holding) => boolean): Uint8Array =>
    Uint8Array.from(holdings, (holding) => Number(read(holding)));
  const scopeHashes = new Uint8Array(16 * holdings.length);
  for (const [i, { scopeHash }] of holdings.entries()) scopeHashes.set(scopeHash, 16 * i);
  return {
    count: holdings.length,
    scopeHashes,
    producers: Uint8Array.from(holdings, ({ producer }) => producer),
    artifactCounts: numbers(({ artifactCount }) => artifactCount),
    bytes: numbers(({ bytes }) => bytes),
    oldestVersions: numbers(({ oldestVersion }) => oldestVersion),
    newestVersions: numbers(({ newest }) => newest.version),
    files: numbers(({ newest }) => newest.file),
    offsetsBytes: numbers(({ newest }) => newest.offsetBytes),
    metadataBytes: numbers(({ newest }) => newest.metadataBytes),
    areLarge: marks(({ newest }) => (newest.flags & manifestFlags.large) !== 0),
    arePartial: marks(({ isPartial }) => isPartial),
  };
}

function liveSegments(segments: ReadonlyMap<number, Live>): LiveSegments {
  const inOrder = [...segments].sort(([left], [right]) => left - right);
  return {
    files: Float64Array.from(inOrder, ([file]) => file),
    liveBytes: Float64Array.from(inOrder, ([, { bytes }]) => bytes),
    liveRows: Float64Array.from(inOrder, ([, { rows }]) => rows),
    newestVersions: Float64Array.from(inOrder, ([, { newestVersion }]) => newestVersion),
  };
}
