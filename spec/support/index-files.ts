import fs from "node:fs";
import path from "node:path";

/** The files of the index; the first is the database itself. */
export const indexFileNames = ["kura.db", "kura.db-wal", "kura.db-shm"] as const;

/** Takes the index of a stopped node away: the next start has to rebuild it. */
export function removeIndex(dataDir: string): void {
  for (const name of indexFileNames) fs.rmSync(path.join(dataDir, name), { force: true });
}
