import { Database } from "bun:sqlite";
import { Fault, systemCode } from "../base/fault.ts";

/** Held for the life of the process; the kernel frees it on any death. */
export type DirectoryLock = { release(): void };

/**
 * Takes the writer lock of a data directory: an exclusive SQLite transaction on a file alone in `{data}/lock/`.
 * Nothing else in the process may open that file: POSIX locks fall with the first close of any descriptor of it.
 * @throws Fault "locked" when another process holds it, "dataDirectory" when the file cannot be made.
 */
export function lockDirectory(dataDir: string): DirectoryLock {
  const path = `${dataDir}/lock/lock.db`;
  let database: Database | null = null;
  try {
    database = new Database(path, { create: true, readwrite: true });
    database.exec("PRAGMA busy_timeout = 0");
    // Nothing is ever committed here, so no journal file has to come and go.
    database.exec("PRAGMA journal_mode = MEMORY");
    database.exec("BEGIN EXCLUSIVE");
    // SQLite opens a file it may not write without a word, and "exclusive" is then a lock that readers share.
    database.exec("PRAGMA user_version = 1");
  } catch (error) {
    database?.close();
    throw lockFault(dataDir, error);
  }
  const held = database;
  return {
    release() {
      held.exec("ROLLBACK");
      held.close();
    },
  };
}

function lockFault(dataDir: string, cause: unknown): Fault {
  if (systemCode(cause) === "SQLITE_BUSY") {
    const what = `Cannot take the writer lock of ${dataDir}: another kura process holds it`;
    return new Fault("locked", `${what}; stop that process or choose another KURA_DATA_DIR`, {
      cause,
    });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Fault("dataDirectory", `Cannot open the writer lock of ${dataDir}: ${reason}`, {
    cause,
  });
}
