import type { Database } from "bun:sqlite";
import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { Fault } from "../base/fault.ts";
import type { Random } from "../base/random.ts";
import { MiB } from "../base/units.ts";
import type { Census } from "./census.ts";
import { walkCensus } from "./census-walk.ts";
import { checkLargeFile } from "./check-large.ts";
import { placesOf } from "./contents.ts";
import { StoreFiles } from "./files.ts";
import { type ArtifactName, bytesKey } from "./identity.ts";
import type { Mark, Row, Tombstone } from "./index.ts";
import { asIndexFault } from "./index-fault.ts";
import { Reader } from "./reader.ts";
import { recover } from "./recover.ts";
import { readScopeNames, type ScopeName } from "./scope-names.ts";
import type { NextToGo } from "./space-figures.ts";
import { SqliteHome } from "./sqlite-home.ts";
import { type Manifest, manifestFlags, type SegmentFigures } from "./store.ts";

/** Rows of one read transaction: a long one would keep a running node from checkpointing. */
const pageRows = 1_000;
const indexCacheBytes = 16 * MiB;
/** As many damaged artifacts are named as this. */
const namedMax = 100;

export type Tell = (doneBytes: number, totalBytes: number) => void;
export type InspectSeams = { readonly disk: Disk; readonly clock: Clock; readonly random: Random };

export type OfflineFigures = {
  readonly storeId: string;
  readonly artifactCount: number;
  readonly tombstoneCount: number;
  readonly segmentCount: number;
  readonly largeFileCount: number;
  readonly usedBytes: number;
  readonly mark: Mark;
};

export type VerifyFigures = {
  readonly checkedCount: number;
  readonly checkedBytes: number;
  readonly damagedCount: number;
  /** Ids in hex. */
  readonly damaged: readonly string[];
};

/**
 * The files of a store, read without changing them: for a stopped node, or beside a running one.
 * @throws Fault "dataDirectory" when there is no store, "unavailable" or "damaged" when its index cannot be read.
 */
export class OfflineStore {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #database: Database;
  readonly #storeId: Uint8Array;
  readonly #cleaned = new Map<string, number>();
  readonly files: StoreFiles;

  constructor(dataDir: string, { disk, clock }: Pick<InspectSeams, "disk" | "clock">) {
    const home = new SqliteHome({ disk, dataDir, cacheBytes: indexCacheBytes });
    if (!home.exists()) {
      throw new Fault("dataDirectory", `Cannot read ${dataDir}: there is no store in it`);
    }
    this.#disk = disk;
    this.#clock = clock;
    this.files = new StoreFiles(disk, dataDir);
    this.files.survey();
    try {
      this.#database = home.openBeside();
      this.#storeId = this.#one<{ value: Uint8Array }>(
        "SELECT value FROM meta WHERE name = 'store_id'",
      ).value;
      const tombstones = this.#database.query<Tombstone, []>(
        "SELECT scope_hash AS scopeHash, version, origin, seq FROM tombstone",
      );
      for (const tombstone of tombstones.all()) {
        this.#cleaned.set(bytesKey(tombstone.scopeHash), tombstone.version);
      }
    } catch (error) {
      throw asIndexFault(error);
    }
  }

  figures(): OfflineFigures {
    const mark = this.#one<Mark>(
      "SELECT file, offset_bytes AS offsetBytes, chain, seq, version, file_high AS fileHigh FROM mark",
    );
    return {
      storeId: Buffer.from(this.#storeId).toString("hex"),
      artifactCount: this.#one<{ n: number }>("SELECT count(*) AS n FROM artifact").n,
      tombstoneCount: this.#cleaned.size,
      segmentCount: this.files.segmentCount,
      largeFileCount: this.files.largeCount,
      usedBytes: this.files.usedBytes,
      mark,
    };
  }

  segments(): SegmentFigures[] {
    return this.files.segmentFigures(0);
  }

  find(name: ArtifactName): Manifest | null {
    const row = this.#rows("WHERE id = ? LIMIT ?", name.id, 1)[0];
    return row !== undefined && this.#isLive(row) ? row : null;
  }

  /** Who fills the store. */
  census(): Promise<Census> {
    return toTheEnd(walkCensus(this.#database));
  }

  /** Names of the first `count` holdings of a census; null where the files do not say them. */
  nameHoldings({ holdings }: Census, count: number): Promise<(ScopeName | null)[]> {
    return toTheEnd(readScopeNames(this.#disk, placesOf(holdings, count, this.files)));
  }

  /** Files in the order in which they were begun, which is that of eviction but for large files that were kept. */
  nextToGo(limit: number): Pick<NextToGo, "file" | "isLarge" | "sizeBytes">[] {
    const { files } = this;
    return [...files.segmentNumbers(), ...files.largeNumbers()]
      .sort((left, right) => left - right)
      .slice(0, limit)
      .map((file) => ({ file, isLarge: files.isLarge(file), sizeBytes: files.sizeOf(file) }));
  }

  /** Reads every live artifact and compares it with its checksums. */
  async verify(tell: Tell): Promise<VerifyFigures> {
    const totalBytes = this.files.usedBytes;
    const damaged: string[] = [];
    let [checkedCount, checkedBytes, damagedCount] = [0, 0, 0];
    const reader = this.#makeReader();
    let after: Uint8Array = new Uint8Array(0);
    for (;;) {
      const rows = this.#rows("WHERE id > ? ORDER BY id LIMIT ?", after, pageRows);
      for (const row of rows) {
        if (!this.#isLive(row)) continue;
        checkedCount += 1;
        checkedBytes += row.sizeBytes;
        if (this.#isWhole(reader, row)) continue;
        damagedCount += 1;
        if (damaged.length < namedMax) damaged.push(Buffer.from(row.id).toString("hex"));
      }
      tell(Math.min(checkedBytes, totalBytes), totalBytes);
      await nextTurn();
      const last = rows.at(-1);
      if (last === undefined) break;
      after = last.id;
    }
    reader.close();
    return { checkedCount, checkedBytes, damagedCount, damaged };
  }

  close(): void {
    this.#database.close();
  }

  #isLive(row: Row): boolean {
    if ((row.flags & manifestFlags.deleted) !== 0) return false;
    return row.version > (this.#cleaned.get(bytesKey(row.scopeHash)) ?? 0);
  }

  #isWhole(reader: Reader, row: Row): boolean {
    if ((row.flags & manifestFlags.large) === 0) {
      return reader.open(row, 0, row.sizeBytes).at !== "damaged";
    }
    const file = this.#disk.open(this.files.largePath(row.file), "read");
    if (file === null) return false;
    const steps = checkLargeFile(file, row);
    try {
      for (;;) {
        const step = steps.next();
        if (step.done === true) return step.value;
      }
    } finally {
      file.close();
    }
  }

  #makeReader(): Reader {
    return new Reader({
      disk: this.#disk,
      clock: this.#clock,
      files: this.files,
      storeId: this.#storeId,
      bodyCacheBytesMax: 0,
      checkLarge: () => Promise.resolve(false),
      onDamage: () => {},
    });
  }

  #rows(where: string, id: Uint8Array, limit: number): Row[] {
    return this.#database
      .query<Row, [Uint8Array, number]>(
        `SELECT id, file, offset_bytes AS offsetBytes, metadata_bytes AS metadataBytes,
           size_bytes AS sizeBytes, seq, version, origin, digest, kind, producer, flags,
           scope_hash AS scopeHash, writer_hash AS writerHash FROM artifact ${where}`,
      )
      .all(id, limit);
  }

  #one<T>(query: string): T {
    const row = this.#database.query<T, []>(query).get();
    if (row === null) throw new Fault("damaged", "The index of this store has no mark");
    return row;
  }
}

async function toTheEnd<T>(steps: Generator<void, T>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await nextTurn();
  }
}

/** Lets a progress bar be drawn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export type RebuildFigures = {
  readonly artifactCount: number;
  readonly tombstoneCount: number;
  readonly fileCount: number;
};

/** Sets the index aside and makes it anew from the files. The caller holds the writer lock. */
export async function rebuildIndex(
  dataDir: string,
  { disk, random }: InspectSeams,
  tell: Tell,
): Promise<RebuildFigures> {
  const home = new SqliteHome({ disk, dataDir, cacheBytes: indexCacheBytes });
  const files = new StoreFiles(disk, dataDir);
  home.setAside();
  const { index } = await recover({
    disk,
    dataDir,
    random,
    home,
    files,
    knownEnds: new Map(),
    progress: tell,
    opened: () => {},
    pause: nextTurn,
    note: () => {},
  });
  const figures = {
    artifactCount: index.countRows(),
    tombstoneCount: index.tombstones().length,
    fileCount: files.segmentCount,
  };
  index.close();
  return figures;
}
