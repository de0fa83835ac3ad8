import { constants, Database } from "bun:sqlite";
import type { Disk } from "../base/disk.ts";
import { Fault, systemCode } from "../base/fault.ts";
import { GiB, KiB } from "../base/units.ts";
import type { Index, IndexHome } from "./index.ts";
import { asIndexFault } from "./index-fault.ts";
import { migrate } from "./schema.ts";
import { SqliteIndex } from "./sqlite-index.ts";
import { readWalPages, type WalPages } from "./wal-pages.ts";

export type SqliteHomeOptions = {
  readonly disk: Disk;
  readonly dataDir: string;
  /** Page cache of the writing connection. */
  readonly cacheBytes: number;
};

/** Of SQLite, by default; larger ones would be multiples of it. */
const pageBytes = 4 * KiB;
/** SQLite locks bytes of it and never writes it. */
const lockPage = GiB / pageBytes + 1;

const indexFiles = ["kura.db", "kura.db-wal", "kura.db-shm"] as const;
const suspectName = "index-suspect";
const openNote = "SELECT value FROM meta WHERE name = 'open'";

/** As many old indexes are kept as this; the oldest go first. They are for a human to look at, never read. */
const asideMax = 2;

/** The index of a data directory: `{data}/kura.db`, opened only by bun:sqlite (any other close frees its locks). */
export class SqliteHome implements IndexHome {
  readonly #options: SqliteHomeOptions;
  readonly #path: string;

  constructor(options: SqliteHomeOptions) {
    this.#options = options;
    this.#path = `${options.dataDir}/kura.db`;
  }

  exists(): boolean {
    return this.#options.disk.sizeBytes(this.#path) !== null;
  }

  open(): Index {
    this.#checkSuspicion();
    const isInCheckpoint = this.#judgeFiles();
    return this.#connect((database) => {
      migrate(database, this.#path);
      if (!isInCheckpoint) judgeAge(database, this.#path);
      if (isInCheckpoint || readAlone(this.#path, openNote) === null) startSession(database);
    });
  }

  reopen(): Index {
    this.#checkSuspicion();
    if (!this.exists()) throw new Fault("damaged", "The index is gone");
    return this.#connect(() => {});
  }

  #checkSuspicion(): void {
    const { disk, dataDir } = this.#options;
    if (disk.sizeBytes(`${dataDir}/${suspectName}`) !== null) {
      throw new Fault("damaged", "The index was marked as suspect before the last end");
    }
  }

  #connect(prepare: (database: Database) => void): Index {
    let database: Database | null = null;
    try {
      database = new Database(this.#path, { create: true, readwrite: true, strict: true });
      const cacheKiB = Math.floor(this.#options.cacheBytes / 1024);
      database.exec("PRAGMA journal_mode = WAL");
      // There is one writer: only the recovery of a write-ahead log ever makes it wait, and the loop stands still then.
      database.exec("PRAGMA busy_timeout = 250");
      database.exec("PRAGMA wal_autocheckpoint = 0");
      // Never cut while it is in use: that took 0.6 s of the loop, on a disk that was busy with its own writes.
      database.exec("PRAGMA journal_size_limit = -1");
      database.exec(`PRAGMA cache_size = -${cacheKiB}`);
      database.exec("PRAGMA mmap_size = 0");
      database.exec("PRAGMA synchronous = FULL");
      prepare(database);
      // All that NORMAL would sync in the loop is the head of a write-ahead log that starts anew, for up to 40 ms on a busy
      // disk. Who checkpoints syncs; what a power cut leaves of a log is judged by `judgeAge`.
      database.exec("PRAGMA synchronous = OFF");
      return new SqliteIndex(database, this.#options.disk, this.#path);
    } catch (error) {
      database?.close();
      throw asIndexFault(error);
    }
  }

  /** A reader's connection, for inspection beside a running node or of a stopped one. Changes nothing. */
  openBeside(): Database {
    const database = new Database(this.#path, { readonly: true });
    database.exec("PRAGMA busy_timeout = 5000");
    return database;
  }

  setAside(): void {
    const { disk, dataDir } = this.#options;
    disk.makeFolder(`${dataDir}/aside`);
    const taken = disk.list(`${dataDir}/aside`).filter((name) => name.startsWith("index-"));
    const numbers = [...new Set(taken.map((name) => Number(name.split("-")[1])))].sort(
      (a, b) => a - b,
    );
    const next = (numbers.at(-1) ?? 0) + 1;
    for (const number of numbers.slice(0, Math.max(0, numbers.length - asideMax + 1))) {
      for (const name of indexFiles) disk.remove(`${dataDir}/aside/index-${number}-${name}`);
    }
    for (const name of indexFiles) {
      if (disk.sizeBytes(`${dataDir}/${name}`) === null) continue;
      disk.rename(`${dataDir}/${name}`, `${dataDir}/aside/index-${next}-${name}`);
    }
    disk.remove(`${dataDir}/${suspectName}`);
    disk.syncFolder(dataDir);
  }

  markSuspect(reason: string): void {
    const { disk, dataDir } = this.#options;
    const path = `${dataDir}/${suspectName}`;
    if (disk.sizeBytes(path) !== null) return;
    const file = disk.create(path);
    file.write(Buffer.from(`${reason}\n`), 0);
    file.sync();
    file.close();
    disk.syncFolder(dataDir);
  }

  /**
   * Signs that the files do not belong together, to be seen before SQLite changes any of them. True when the process ended
   * in the middle of a checkpoint that makes the database longer.
   */
  #judgeFiles(): boolean {
    const { disk } = this.#options;
    const size = disk.sizeBytes(this.#path);
    if (size === null) return false;
    if (size === 0) throw new Fault("damaged", "The index is an empty file");
    // SQLite counts a page that was cut as a whole one and reads zeros in place of its end, where rows are.
    if (size % pageBytes !== 0) throw new Fault("damaged", "The index is cut inside a page");
    const walBytes = disk.sizeBytes(`${this.#path}-wal`) ?? 0;
    if (walBytes === 0 && readAlone(this.#path, openNote) !== null) {
      throw new Fault("damaged", "The write-ahead log of an index that was in use is gone");
    }
    return this.#isInCheckpoint(size / pageBytes);
  }

  /**
   * A checkpoint writes pages in their order, so that the first one may count some that are not there yet. It is in the
   * write-ahead log then, as are all of those, which was synced before; what else the file alone lacks is damage.
   */
  #isInCheckpoint(pageCount: number): boolean {
    try {
      readAlone(this.#path, openNote);
      return false;
    } catch (error) {
      const wal = this.#readWal();
      if (wal === null || !wal.hasFirst || wal.pageCount <= pageCount) throw error;
      for (let page = pageCount + 1; page <= wal.pageCount; page++) {
        if (page !== lockPage && !wal.pages.has(page)) throw error;
      }
      return true;
    }
  }

  /** Null when it is of no use. Nobody in this process may have the index open: closing its file would free all locks. */
  #readWal(): WalPages | null {
    const { disk } = this.#options;
    const first = new Uint8Array(pageBytes);
    try {
      const database = disk.open(this.#path, "read");
      if (database === null) return null;
      try {
        if (database.read(first, 0) !== pageBytes) return null;
      } finally {
        database.close();
      }
      return readWalPages(disk, `${this.#path}-wal`, first);
    } catch {
      return null;
    }
  }
}

/**
 * Notes in the database file itself that the index is in use, and leaves its write-ahead log behind: from here on a
 * missing log means that somebody took it away. `SqliteIndex.close` takes the note back.
 */
function startSession(database: Database): void {
  database.exec("INSERT OR REPLACE INTO meta VALUES ('open', x'01')");
  database.exec("PRAGMA wal_checkpoint(PASSIVE)");
}

/**
 * An older database file under a newer write-ahead log is a mixture of two states: neither may be believed. So is a newer
 * one under the front of an older log: a power cut may leave that of a log that had started anew and was not synced yet.
 */
function judgeAge(database: Database, path: string): void {
  const mark = database
    .query<{ base: number; transactions: number }, []>(
      "SELECT wal_base_seq AS base, transactions FROM mark",
    )
    .get();
  if (mark === null) return;
  const transactions = readAlone(path, "SELECT transactions AS value FROM mark");
  if (typeof transactions === "number" && transactions > mark.transactions) {
    throw new Fault("damaged", "The index is newer than its write-ahead log");
  }
  if (mark.base === 0) return;
  const seq = readAlone(path, "SELECT seq AS value FROM mark");
  if (typeof seq === "number" && seq >= mark.base) return;
  throw new Fault("damaged", "The index is older than its write-ahead log");
}

/** One value of the database file without its write-ahead log; null when there is none. */
function readAlone(path: string, query: string): unknown {
  const flags = constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI;
  let alone: Database | null = null;
  try {
    alone = new Database(
      `file:${path.split("/").map(encodeURIComponent).join("/")}?immutable=1`,
      flags,
    );
    const row = alone.query<{ value: unknown }, []>(query).get();
    return row?.value ?? null;
  } catch (error) {
    const name = systemCode(error) ?? "";
    if (name.startsWith("SQLITE_CORRUPT") || name.startsWith("SQLITE_NOTADB")) {
      throw asIndexFault(error);
    }
    // A database that was never checkpointed has no table yet: everything is still in its write-ahead log.
    return null;
  } finally {
    alone?.close();
  }
}
