import { expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { MiB } from "../../../../runtime/base/units.ts";
import type { CatalogView } from "../../../../runtime/store/catalog-view.ts";
import type { Row } from "../../../../runtime/store/index.ts";
import { reopenIndex } from "../../../../runtime/store/repair-index.ts";
import { SqliteHome } from "../../../../runtime/store/sqlite-home.ts";
import { makeTemporaryFolder } from "../../../support/node-process.ts";

/** @source SQLite file format, section 1.3: size of the database in pages. */
const pageCountAt = 28;
const mark = { file: 1, offsetBytes: 4_096, chain: 0, seq: 3, version: 3, fileHigh: 1 };

function row(key: string): Row {
  return {
    id: sha256(key),
    file: 1,
    offsetBytes: 4_096,
    metadataBytes: 40,
    sizeBytes: 10,
    seq: 3,
    version: 3,
    origin: 1,
    digest: 5,
    kind: 1,
    flags: 0,
    producer: 1,
    scopeHash: new Uint8Array(16),
    writerHash: new Uint8Array(8),
  };
}

test("an index that failed is opened again while a checkpoint writes its file", () => {
  const dataDir = makeTemporaryFolder("repair-index");
  try {
    const home = new SqliteHome({ disk: realDisk, dataDir, cacheBytes: MiB });
    const index = home.open();
    index.adopt({ storeId: new Uint8Array(16) }, mark);
    // Enough for further pages: their count in the first page is in the write-ahead log then.
    const rows = Array.from({ length: 200 }, (_, i) => row(`${i}`));
    index.apply({ rows, tombstones: [], quarantined: [], mark });
    const view = { index } as CatalogView;
    // The first page, which a checkpoint writes first, counts more pages than the file has yet.
    const fd = fs.openSync(path.join(dataDir, "kura.db"), "r+");
    fs.writeSync(fd, Buffer.from([0, 0, 0x10, 0]), 0, 4, pageCountAt);
    fs.closeSync(fd);

    reopenIndex(view, home, mark.seq);

    expect(view.index).not.toBe(index);
    expect(view.index.mark()).toEqual(mark);
    expect(view.index.find(sha256("7"))?.seq).toBe(3);
    view.index.close();
  } finally {
    fs.rmSync(dataDir, { recursive: true, force: true });
  }
});
