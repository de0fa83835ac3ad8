import type { Database, SQLQueryBindings } from "bun:sqlite";
import { asIndexFault } from "./index-fault.ts";
import type { PartRow, UploadRow, UploadRows, UploadTotals } from "./multipart-rows.ts";

const partColumns = "upload_id AS uploadId, number, size_bytes AS sizeBytes, file, crc";

/** The rows of uploads in SQLite, over the connection that writes. Its statements end with the database. */
export class SqliteUploadRows implements UploadRows {
  readonly #database: Database;
  /** Runs statements as one transaction. */
  readonly #transaction: (run: () => void) => void;

  constructor(database: Database, transaction: (run: () => void) => void) {
    this.#database = database;
    this.#transaction = transaction;
  }

  uploads(): UploadTotals[] {
    return this.#all<UploadTotals>(
      `SELECT id, producer, tenant, namespace, key, created_ms AS createdMs,
         coalesce(sum(size_bytes), 0) AS partBytes, count(number) AS partCount,
         coalesce(max(file), 0) AS fileHigh
       FROM upload LEFT JOIN upload_part ON upload_id = id GROUP BY id`,
    );
  }

  parts(uploadId: Uint8Array): PartRow[] {
    return this.#all<PartRow>(
      `SELECT ${partColumns} FROM upload_part WHERE upload_id = ? ORDER BY number`,
      uploadId,
    );
  }

  part(uploadId: Uint8Array, number: number): PartRow | null {
    const rows = this.#all<PartRow>(
      `SELECT ${partColumns} FROM upload_part WHERE upload_id = ? AND number = ?`,
      uploadId,
      number,
    );
    return rows[0] ?? null;
  }

  putUpload(row: UploadRow): void {
    const { id, tenant, namespace, key, createdMs, producer } = row;
    this.#write(
      `INSERT OR REPLACE INTO upload (id, tenant, namespace, key, created_ms, producer)
       VALUES (?, ?, ?, ?, ?, ?)`,
      ...[id, tenant, namespace, key, createdMs, producer],
    );
  }

  putPart(row: PartRow): void {
    const { uploadId, number, sizeBytes, file, crc } = row;
    this.#write(
      `INSERT OR REPLACE INTO upload_part (upload_id, number, size_bytes, file, crc)
       VALUES (?, ?, ?, ?, ?)`,
      ...[uploadId, number, sizeBytes, file, crc],
    );
  }

  removePart(uploadId: Uint8Array, number: number): void {
    this.#write("DELETE FROM upload_part WHERE upload_id = ? AND number = ?", uploadId, number);
  }

  removeUpload(uploadId: Uint8Array): void {
    this.#transaction(() => {
      this.#database.query("DELETE FROM upload WHERE id = ?").run(uploadId);
      this.#database.query("DELETE FROM upload_part WHERE upload_id = ?").run(uploadId);
    });
  }

  #all<Row>(sql: string, ...values: SQLQueryBindings[]): Row[] {
    try {
      return this.#database.query<Row, SQLQueryBindings[]>(sql).all(...values);
    } catch (error) {
      throw asIndexFault(error);
    }
  }

  #write(sql: string, ...values: SQLQueryBindings[]): void {
    this.#transaction(() => void this.#database.query(sql).run(...values));
  }
}
