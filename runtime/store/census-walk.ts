import type { Database } from "bun:sqlite";
import { type Census, type CensusRow, CensusTally } from "./census.ts";
import { bytesKey } from "./identity.ts";

/** Rows of one step and one read transaction: a long one would keep checkpoints from ending. */
const usualStepRows = 10_000;

type WalkedRow = CensusRow & { readonly id: Uint8Array };

/**
 * Counts all rows of an index, with a pause after each 10,000. The index may change in between: a row that is written
 * meanwhile counts or does not.
 */
export function* walkCensus(database: Database, stepRows = usualStepRows): Generator<void, Census> {
  const tally = new CensusTally(cleanedVersions(database));
  const page = database.prepare<WalkedRow, [Uint8Array, number]>(
    `SELECT id, file, offset_bytes AS offsetBytes, metadata_bytes AS metadataBytes,
       size_bytes AS sizeBytes, version, producer, flags, scope_hash AS scopeHash
     FROM artifact WHERE id > ? ORDER BY id LIMIT ?`,
  );
  let after: Uint8Array = new Uint8Array(0);
  try {
    for (;;) {
      const rows = page.all(after, stepRows);
      for (let i = 0; i < rows.length; i++) tally.add(rows[i]!);
      const last = rows.at(-1);
      if (last === undefined) return tally.finish();
      after = last.id;
      yield;
    }
  } finally {
    page.finalize();
  }
}

function cleanedVersions(database: Database): Map<string, number> {
  const tombstones = database.query<{ scopeHash: Uint8Array; version: number }, []>(
    "SELECT scope_hash AS scopeHash, version FROM tombstone",
  );
  return new Map(tombstones.all().map((one) => [bytesKey(one.scopeHash), one.version]));
}
