import { constants, Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { systemClock } from "../../../../runtime/base/clock.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { MiB } from "../../../../runtime/base/units.ts";
import { SqliteHome } from "../../../../runtime/store/sqlite-home.ts";
import { WorkerMaintenance } from "../../../../runtime/store/worker-maintenance.ts";

/** Rows in the database file itself, without its write-ahead log. */
function countCheckpointed(dataDir: string): number {
  const flags = constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI;
  const database = new Database(`file:${dataDir}/kura.db?immutable=1`, flags);
  const row = database.query<{ seq: number }, []>("SELECT seq FROM mark").get();
  database.close();
  return row?.seq ?? 0;
}

test("after a release, jobs that still waited leave the old index alone, and checkpoints reach the new one", async () => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "kura-worker-"));
  const home = new SqliteHome({ disk: realDisk, dataDir, cacheBytes: MiB });
  const mark = { file: 1, offsetBytes: 4_096, chain: 0, seq: 0, version: 0, fileHigh: 1 };
  const maintenance = new WorkerMaintenance(dataDir, systemClock);
  let index = home.open();
  index.adopt({ storeId: new Uint8Array(16) }, mark);
  for (let round = 1; round <= 10; round++) {
    // Jobs that wait when the index is released, as after a start that finds damage.
    const waiting = [
      maintenance.nextIds(new Uint8Array(0), 100),
      maintenance.findUnreferenced([1]),
    ].map((job) => job.catch(() => "refused"));
    await maintenance.releaseIndex();
    await Promise.all(waiting);
    index.drop();
    home.setAside();
    index = home.open();
    index.adopt({ storeId: new Uint8Array(16) }, { ...mark, seq: round });
    await maintenance.checkpoint();
    expect(countCheckpointed(dataDir)).toBe(round);
  }
  index.drop();
  await maintenance.close();
  fs.rmSync(dataDir, { recursive: true, force: true });
});
