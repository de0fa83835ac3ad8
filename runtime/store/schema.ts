import type { Database } from "bun:sqlite";
import { Fault } from "../base/fault.ts";

/**
 * Migrations of the index, in order; the number of the last one is the database's user_version. They only add:
 * an index of any earlier version opens, one of a later version is refused.
 */
const migrations: readonly string[] = [
  `
  CREATE TABLE artifact (
    id BLOB PRIMARY KEY,
    file INTEGER NOT NULL,
    offset_bytes INTEGER NOT NULL,
    metadata_bytes INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    producer INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    scope_hash BLOB NOT NULL,
    writer_hash BLOB NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX artifact_seq ON artifact (seq);
  CREATE TABLE mark (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    file INTEGER NOT NULL,
    offset_bytes INTEGER NOT NULL,
    chain INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    file_high INTEGER NOT NULL,
    wal_base_seq INTEGER NOT NULL
  );
  CREATE TABLE tombstone (
    scope_hash BLOB PRIMARY KEY,
    version INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    seq INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE segment (file INTEGER PRIMARY KEY, state TEXT NOT NULL, end_bytes INTEGER NOT NULL);
  CREATE TABLE upload (
    id BLOB PRIMARY KEY,
    tenant TEXT NOT NULL,
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    created_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE upload_part (
    upload_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (upload_id, number)
  ) WITHOUT ROWID;
  CREATE TABLE peer_position (incarnation BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE peer_gap (
    incarnation BLOB NOT NULL,
    low_seq INTEGER NOT NULL,
    high_seq INTEGER NOT NULL,
    PRIMARY KEY (incarnation, low_seq)
  ) WITHOUT ROWID;
  CREATE TABLE push_position (incarnation BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE quarantine (id BLOB PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE revoked (serial TEXT PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE usage_outbox (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
  CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  `,
  // Version 1 never wrote these tables, so the defaults are met in no row.
  `
  ALTER TABLE upload ADD COLUMN producer INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE upload_part ADD COLUMN file INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE upload_part ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
  `,
  // How many transactions there were: `sqlite-home.ts` tells by it which of two states is the older one.
  `
  ALTER TABLE mark ADD COLUMN transactions INTEGER NOT NULL DEFAULT 0;
  `,
];

export const schemaVersion = migrations.length;

/**
 * Brings a database to the current schema, one transaction a step.
 * @throws Fault "formatTooNew" when a later version of Kura made it; nothing is changed then.
 */
export function migrate(database: Database, path: string): void {
  const current = readUserVersion(database);
  if (current > schemaVersion) {
    throw new Fault(
      "formatTooNew",
      `Cannot open ${path}: it has schema ${current}, this version of Kura knows up to ${schemaVersion}; use a newer Kura`,
    );
  }
  for (let step = current; step < schemaVersion; step++) {
    database.exec(
      `BEGIN IMMEDIATE; ${migrations[step]}; PRAGMA user_version = ${step + 1}; COMMIT;`,
    );
  }
}

function readUserVersion(database: Database): number {
  const row = database.query<{ user_version: number }, []>("PRAGMA user_version").get();
  return row?.user_version ?? 0;
}
