import type { Database, Statement } from "bun:sqlite";
import type { Disk, DiskFile } from "../base/disk.ts";
import { KiB } from "../base/units.ts";
import type {
  EvictedPlace,
  Index,
  IndexBatch,
  IndexIdentity,
  Mark,
  Quarantined,
  Row,
  Tombstone,
} from "./index.ts";
import { asIndexFault } from "./index-fault.ts";
import type { UploadRows } from "./multipart-rows.ts";
import { SqliteUploadRows } from "./multipart-sqlite.ts";
import type { Manifest } from "./store.ts";

const manifestColumns =
  "id, file, offset_bytes, metadata_bytes, size_bytes, seq, version, origin, digest, kind, flags";
/**
 * The same as a manifest's own fields, so that one statement makes one object (0.7 us less than by way of an array).
 * Without the id, which the caller has (0.5 us).
 */
const manifestFields = `file, offset_bytes AS offsetBytes, metadata_bytes AS metadataBytes,
  size_bytes AS sizeBytes, seq, version, origin, digest, kind, flags`;

/** One page behind its header. @source SQLite file format, section 4.1. */
const walFrameBytes = 4 * KiB + 24;
/** @source SQLite file format, section 4.1: the WAL header. */
const walSaltAt = 16;

type ManifestColumns = [
  id: Uint8Array,
  file: number,
  offsetBytes: number,
  metadataBytes: number,
  sizeBytes: number,
  seq: number,
  version: number,
  origin: number,
  digest: number,
  kind: number,
  flags: number,
];
type StoredCounts = { walBaseSeq: number; transactions: number };
type RowColumns = [...ManifestColumns, producer: number, scope: Uint8Array, writer: Uint8Array];

/** The index on SQLite: the connection that writes. Opened and judged by `sqlite-home.ts`. */
export class SqliteIndex implements Index {
  readonly uploads: UploadRows;
  readonly #database: Database;
  readonly #disk: Disk;
  readonly #walPath: string;
  readonly #find: Statement<{ id?: Uint8Array }>;
  readonly #putRow: Statement;
  readonly #putMark: Statement;
  readonly #putTombstone: Statement;
  readonly #putQuarantine: Statement;
  readonly #evict: Statement;
  readonly #countTransaction: Statement;
  readonly #walFrames: Statement<{ log: number }>;
  readonly #beginRead: Statement;
  readonly #begin: Statement;
  readonly #commit: Statement;
  #isReading = false;
  #wal: DiskFile | null = null;
  #walSalt = 0;
  /** Frames of the write-ahead log since it started anew. */
  #walLength = 0;
  readonly #saltBytes = Buffer.alloc(4);
  #walBaseSeq: number;
  /** Those that changed something, ever. */
  #transactions: number;
  #lastSeq: number;

  constructor(database: Database, disk: Disk, path: string) {
    this.#database = database;
    this.#disk = disk;
    this.#walPath = `${path}-wal`;
    this.#find = database.prepare(`SELECT ${manifestFields} FROM artifact WHERE id = ?`);
    this.#putRow = database.prepare(
      "INSERT OR REPLACE INTO artifact VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    this.#putMark = database.prepare(
      "INSERT OR REPLACE INTO mark VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    this.#putTombstone = database.prepare(
      `INSERT INTO tombstone VALUES (?, ?, ?, ?) ON CONFLICT (scope_hash) DO UPDATE
       SET version = excluded.version, origin = excluded.origin, seq = excluded.seq
       WHERE excluded.version > version`,
    );
    this.#putQuarantine = database.prepare("INSERT OR REPLACE INTO quarantine VALUES (?, ?)");
    this.#evict = database.prepare(
      "DELETE FROM artifact WHERE id = ? AND file = ? AND offset_bytes = ?",
    );
    this.#countTransaction = database.prepare("UPDATE mark SET transactions = ?");
    // The file keeps the size that it once had: only SQLite knows how much of it counts.
    this.#walFrames = database.prepare("PRAGMA wal_checkpoint(NOOP)");
    this.#beginRead = database.prepare("BEGIN");
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.uploads = new SqliteUploadRows(database, (run) => this.#transaction(run));
    this.#lastSeq = this.mark()?.seq ?? 0;
    const stored = this.#storedCounts();
    this.#walBaseSeq = stored.walBaseSeq;
    this.#transactions = stored.transactions;
    this.#walSalt = this.#readWalSalt();
  }

  identity(): IndexIdentity | null {
    return this.#guard(() => {
      const row = this.#database
        .query<{ value: Uint8Array }, []>("SELECT value FROM meta WHERE name = 'store_id'")
        .get();
      return row === null ? null : { storeId: row.value };
    });
  }

  mark(): Mark | null {
    return this.#guard(() =>
      this.#database
        .query<Mark, []>(
          `SELECT file, offset_bytes AS offsetBytes, chain, seq, version, file_high AS fileHigh
           FROM mark`,
        )
        .get(),
    );
  }

  find(id: Uint8Array): Manifest | null {
    return this.#guard(() => {
      this.#startReading();
      const row = this.#find.get(id);
      if (row !== null) row.id = id;
      return row as Manifest | null;
    });
  }

  feed(afterSeq: number, limit: number): Row[] {
    return this.#guard(() => {
      const rows = this.#database
        .query(
          `SELECT ${manifestColumns}, producer, scope_hash, writer_hash FROM artifact
           WHERE seq > ? ORDER BY seq LIMIT ?`,
        )
        .values(afterSeq, limit) as RowColumns[];
      return rows.map(toRow);
    });
  }

  tombstones(): Tombstone[] {
    return this.#guard(() =>
      this.#database
        .query<Tombstone, []>("SELECT scope_hash AS scopeHash, version, origin, seq FROM tombstone")
        .all(),
    );
  }

  quarantined(): Quarantined[] {
    return this.#guard(() =>
      this.#database.query<Quarantined, []>("SELECT id, version FROM quarantine").all(),
    );
  }

  adopt(identity: IndexIdentity, mark: Mark): void {
    this.#transaction(() => {
      this.#database.run("INSERT OR REPLACE INTO meta VALUES ('store_id', ?)", [identity.storeId]);
      this.#writeMark(mark);
    });
  }

  apply(batch: IndexBatch): void {
    this.#transaction(() => {
      for (const row of batch.rows) this.#writeRow(row);
      for (const tombstone of batch.tombstones) {
        const { scopeHash, version, origin, seq } = tombstone;
        this.#putTombstone.run(scopeHash, version, origin, seq);
      }
      for (const { id, version } of batch.quarantined) this.#putQuarantine.run(id, version);
      this.#writeMark(batch.mark);
    });
    try {
      this.#noteWalRestart();
    } catch {
      // The batch is committed: only what the next start compares is a commit late.
    }
    this.#lastSeq = batch.mark.seq;
  }

  evict(file: number, places: readonly EvictedPlace[]): boolean[] {
    const evicted: boolean[] = [];
    this.#transaction(() => {
      for (const { id, offsetBytes } of places) {
        evicted.push(this.#evict.run(id, file, offsetBytes).changes > 0);
      }
    });
    return evicted;
  }

  walBytes(): number {
    return this.#walLength * walFrameBytes;
  }

  countRows(): number {
    return this.#guard(() => {
      const row = this.#database
        .query<{ n: number }, []>("SELECT count(*) AS n FROM artifact")
        .get();
      return row?.n ?? 0;
    });
  }

  close(): void {
    this.#wal?.close();
    this.#wal = null;
    try {
      this.#endReading();
      this.#database.exec("PRAGMA synchronous = FULL");
      // Without a write-ahead log and without the note of `sqlite-home.ts` the next start knows it to be whole.
      this.#database.exec("DELETE FROM meta WHERE name = 'open'");
      this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } finally {
      // A prepared statement outlives its database in Bun 1.4.5: it goes on answering, and keeps the files open.
      this.#finalize();
      this.#database.close();
    }
  }

  #finalize(): void {
    for (const statement of [
      this.#find,
      this.#putRow,
      this.#putMark,
      this.#putTombstone,
      this.#putQuarantine,
      this.#evict,
      this.#countTransaction,
      this.#walFrames,
      this.#beginRead,
      this.#begin,
      this.#commit,
    ]) {
      statement.finalize();
    }
  }

  drop(): void {
    // Each by itself: a connection that stayed open would go on reading, and hold every checkpoint back.
    for (const letGo of [
      () => this.#finalize(),
      () => this.#wal?.close(),
      () => this.#database.close(),
    ]) {
      try {
        letGo();
      } catch {
        // It is let go because it failed; what it had not written is in the log.
      }
    }
    this.#wal = null;
  }

  #writeRow(row: Row): void {
    this.#putRow.run(
      row.id,
      row.file,
      row.offsetBytes,
      row.metadataBytes,
      row.sizeBytes,
      row.seq,
      row.version,
      row.origin,
      row.digest,
      row.kind,
      row.producer,
      row.flags,
      row.scopeHash,
      row.writerHash,
    );
  }

  #writeMark(mark: Mark): void {
    const { file, offsetBytes, chain, seq, version, fileHigh } = mark;
    this.#putMark.run(
      file,
      offsetBytes,
      chain,
      seq,
      version,
      fileHigh,
      this.#walBaseSeq,
      this.#transactions,
    );
  }

  /**
   * Look-ups share one read transaction, which ends where the next write begins: its locks cost 3 us, half of a
   * look-up in pages that the kernel holds. Nobody else writes, so what it sees is never out of date, and a
   * checkpoint meanwhile gets to the end of the log.
   */
  #startReading(): void {
    if (this.#isReading) return;
    if (!this.#database.inTransaction) this.#beginRead.run();
    this.#isReading = true;
  }

  #endReading(): void {
    if (!this.#isReading) return;
    this.#isReading = false;
    // An error of SQLite may have ended it already.
    if (this.#database.inTransaction) this.#commit.run();
  }

  #transaction(run: () => void): void {
    this.#guard(() => {
      this.#endReading();
      this.#begin.run();
      try {
        this.#transactions += 1;
        run();
        this.#countTransaction.run(this.#transactions);
        this.#commit.run();
      } catch (error) {
        if (this.#database.inTransaction) this.#database.exec("ROLLBACK");
        throw error;
      }
      // Only here: SQLite does not say it while a read transaction is open.
      this.#walLength = this.#walFrames.get()?.log ?? this.#walLength;
    });
  }

  /**
   * The first commit after a whole checkpoint starts the write-ahead log anew, with new salts. From then on the
   * database file must hold everything up to the commit before; `sqlite-home.ts` compares at the next start.
   */
  #noteWalRestart(): void {
    const salt = this.#readWalSalt();
    if (salt === this.#walSalt) return;
    this.#walSalt = salt;
    this.#walBaseSeq = this.#lastSeq;
  }

  /** The first salt of the write-ahead log, which is one more each time the log starts anew; 0 without a log. */
  #readWalSalt(): number {
    this.#wal ??= this.#disk.open(this.#walPath, "read");
    if (this.#wal === null) return 0;
    const count = this.#wal.read(this.#saltBytes, walSaltAt);
    return count < this.#saltBytes.length ? 0 : this.#saltBytes.readUInt32BE(0);
  }

  #storedCounts(): StoredCounts {
    const row = this.#guard(() =>
      this.#database
        .query<StoredCounts, []>("SELECT wal_base_seq AS walBaseSeq, transactions FROM mark")
        .get(),
    );
    return row ?? { walBaseSeq: 0, transactions: 0 };
  }

  #guard<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw asIndexFault(error);
    }
  }
}

function toManifest(columns: ManifestColumns): Manifest {
  return {
    id: columns[0],
    file: columns[1],
    offsetBytes: columns[2],
    metadataBytes: columns[3],
    sizeBytes: columns[4],
    seq: columns[5],
    version: columns[6],
    origin: columns[7],
    digest: columns[8],
    kind: columns[9],
    flags: columns[10],
  };
}

function toRow(columns: RowColumns): Row {
  const [producer, scopeHash, writerHash] = [columns[11], columns[12], columns[13]];
  return { ...toManifest(columns as unknown as ManifestColumns), producer, scopeHash, writerHash };
}
