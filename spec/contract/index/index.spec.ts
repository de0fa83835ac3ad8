import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { sha256 } from "../../../runtime/base/digest.ts";
import { realDisk } from "../../../runtime/base/real-disk.ts";
import { MiB } from "../../../runtime/base/units.ts";
import type { Index, IndexBatch, IndexHome, Mark, Row } from "../../../runtime/store/index.ts";
import { SqliteHome } from "../../../runtime/store/sqlite-home.ts";
import { readWalPages } from "../../../runtime/store/wal-pages.ts";
import { SimCalls } from "../../support/sim-disk-calls.ts";
import { SimIndexHome } from "../../support/sim-index.ts";

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "kura-index-contract-"));
afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }));
let folderCount = 0;

function sqliteHome(): IndexHome {
  return sqliteFolder().home;
}

function sqliteFolder(): { home: IndexHome; databasePath: string } {
  const dataDir = path.join(temporary, String(folderCount++));
  realDisk.makeFolder(dataDir);
  const home = new SqliteHome({ disk: realDisk, dataDir, cacheBytes: MiB });
  return { home, databasePath: path.join(dataDir, "kura.db") };
}

/** @source SQLite file format, section 1.3: size of the database in pages. */
const pageCountAt = 28;
const pageBytes = 4_096;

const storeId = Uint8Array.from({ length: 16 }, (_, i) => i);
const firstMark: Mark = { file: 0, offsetBytes: 0, chain: 0, seq: 0, version: 0, fileHigh: 0 };

function row(key: string, changes: Partial<Row> = {}): Row {
  return {
    id: sha256(key),
    file: 1,
    offsetBytes: 4_096,
    metadataBytes: 40,
    sizeBytes: 1_000,
    seq: 1,
    version: 2 ** 52 + 1,
    origin: 2 ** 47 + 3,
    digest: 2 ** 52 - 1,
    kind: 2,
    flags: 3,
    producer: 1,
    scopeHash: sha256("scope").slice(0, 16),
    writerHash: new Uint8Array(8).fill(9),
    ...changes,
  };
}

const upload = {
  id: sha256("upload").slice(0, 16),
  producer: 1,
  tenant: "a",
  namespace: "b",
  key: "c",
  createdMs: 1,
};

function batch(rows: readonly Row[], changes: Partial<IndexBatch> = {}): IndexBatch {
  const seq = Math.max(0, ...rows.map((each) => each.seq));
  const mark: Mark = {
    file: 2,
    offsetBytes: 8_192,
    chain: 2 ** 32 - 1,
    seq,
    version: 2 ** 52,
    fileHigh: 7,
  };
  return { rows, tombstones: [], quarantined: [], mark, ...changes };
}

describe.each([
  ["SQLite", sqliteHome],
  ["the simulated index", () => new SimIndexHome(new SimCalls())],
] as const)("%s", (_, makeHome) => {
  test("is new at first, then belongs to a store and has its mark", () => {
    const home = makeHome();
    expect(home.exists()).toBe(false);
    const index = home.open();
    expect(index.identity()).toBeNull();
    expect(index.mark()).toBeNull();
    index.adopt({ storeId }, firstMark);
    expect(home.exists()).toBe(true);
    expect(Buffer.compare(index.identity()?.storeId ?? new Uint8Array(0), storeId)).toBe(0);
    expect(index.mark()).toEqual(firstMark);
  });

  test("finds what was applied, whole numbers and bytes as they were given", () => {
    const index = makeHome().open();
    index.adopt({ storeId }, firstMark);
    const one = row("one");
    const { producer, scopeHash, writerHash, ...manifest } = one;
    index.apply(batch([one, row("two", { seq: 2 })]));
    expect(index.find(one.id)).toMatchObject(manifest);
    expect(index.find(sha256("three"))).toBeNull();
    expect(index.countRows()).toBe(2);
    expect(index.mark()).toEqual(batch([row("two", { seq: 2 })]).mark);
    const [fed] = index.feed(0, 1);
    expect(fed).toMatchObject({ producer });
    expect(Buffer.compare(fed?.scopeHash ?? scopeHash.slice(1), scopeHash)).toBe(0);
    expect(Buffer.compare(fed?.writerHash ?? writerHash.slice(1), writerHash)).toBe(0);
  });

  test("a later row replaces an earlier one, in one batch and over batches", () => {
    const index = makeHome().open();
    index.adopt({ storeId }, firstMark);
    index.apply(batch([row("one", { seq: 1 }), row("one", { seq: 2, sizeBytes: 2 })]));
    expect(index.find(sha256("one"))?.sizeBytes).toBe(2);
    index.apply(batch([row("one", { seq: 3, sizeBytes: 3 })]));
    expect(index.find(sha256("one"))?.sizeBytes).toBe(3);
    expect(index.countRows()).toBe(1);
  });

  test("look-ups see every batch as soon as it is applied, and so does the next one to open the index", () => {
    const home = makeHome();
    const index = home.open();
    index.adopt({ storeId }, firstMark);
    for (const seq of [1, 2, 3]) {
      expect(index.find(sha256(`k${seq}`))).toBeNull();
      index.apply(batch([row(`k${seq}`, { seq })]));
      expect(index.find(sha256(`k${seq}`))?.seq).toBe(seq);
      expect(index.mark()?.seq).toBe(seq);
    }
    index.close();
    expect(home.open().countRows()).toBe(3);
  });

  test("look-ups keep nobody from opening the index again and writing it", () => {
    const home = makeHome();
    const index = home.open();
    index.adopt({ storeId }, firstMark);
    index.apply(batch([row("one")]));
    expect(index.find(sha256("one"))?.seq).toBe(1);
    const next = home.open();
    expect(next.find(sha256("one"))?.seq).toBe(1);
    next.apply(batch([row("two", { seq: 2 })]));
    expect(index.find(sha256("one"))?.seq).toBe(1);
    index.drop();
    next.apply(batch([row("two", { seq: 3 })]));
    expect(next.countRows()).toBe(2);
  });

  test("feeds rows in order of seq, from behind a place and as many as asked", () => {
    const index = makeHome().open();
    index.adopt({ storeId }, firstMark);
    index.apply(batch([5, 3, 1, 4, 2].map((seq) => row(`k${seq}`, { seq }))));
    expect(index.feed(0, 10).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
    expect(index.feed(2, 2).map(({ seq }) => seq)).toEqual([3, 4]);
    expect(index.feed(5, 2)).toEqual([]);
  });

  test("keeps the highest tombstone of a scope", () => {
    const index = makeHome().open();
    index.adopt({ storeId }, firstMark);
    const scopeHash = sha256("scope").slice(0, 16);
    const stone = (version: number) => ({ scopeHash, version, origin: 1, seq: version });
    index.apply(batch([], { tombstones: [stone(5), stone(9)] }));
    index.apply(batch([], { tombstones: [stone(7)] }));
    expect(index.tombstones().map(({ version }) => version)).toEqual([9]);
  });

  test("remembers what is quarantined", () => {
    const index = makeHome().open();
    index.adopt({ storeId }, firstMark);
    index.apply(batch([], { quarantined: [{ id: sha256("bad"), version: 4 }] }));
    expect(index.quarantined().map(({ version }) => version)).toEqual([4]);
  });

  test("has everything again after it was closed and opened", () => {
    const home = makeHome();
    const first = home.open();
    first.adopt({ storeId }, firstMark);
    first.apply(batch([row("one")]));
    first.close();
    const second = home.open();
    expect(second.find(sha256("one"))?.seq).toBe(1);
    expect(second.mark()?.fileHigh).toBe(7);
    expect(second.identity()).not.toBeNull();
  });

  test("refuses to be used once closed", () => {
    const index = makeHome().open();
    index.adopt({ storeId }, firstMark);
    index.close();
    expect(() => index.find(sha256("one"))).toThrow();
    expect(() => index.apply(batch([]))).toThrow();
  });

  test("is damaged once it was marked as suspect, until it is set aside", () => {
    const home = makeHome();
    const index = home.open();
    index.adopt({ storeId }, firstMark);
    index.apply(batch([row("one")]));
    index.close();
    home.markSuspect("a reason");
    home.markSuspect("another reason");
    expect(() => home.open()).toThrow(expect.objectContaining({ code: "damaged" }));
    home.setAside();
    expect(home.exists()).toBe(false);
    const fresh = home.open();
    expect(fresh.identity()).toBeNull();
    expect(fresh.countRows()).toBe(0);
  });

  test("has bytes in its write-ahead log after a commit", () => {
    const index = makeHome().open();
    index.adopt({ storeId }, firstMark);
    index.apply(batch([row("one")]));
    expect(index.walBytes()).toBeGreaterThan(0);
  });
});

describe("SQLite", () => {
  test("look-ups between the batches hold no checkpoint back, nor the write-ahead log from starting anew", () => {
    const { home, databasePath } = sqliteFolder();
    const index = home.open();
    const other = new Database(databasePath);
    const checkpoint = () =>
      other
        .query<{ log: number; checkpointed: number }, []>("PRAGMA wal_checkpoint(PASSIVE)")
        .get();
    index.adopt({ storeId }, firstMark);
    const sizes: number[] = [];
    for (let seq = 1; seq <= 20; seq++) {
      index.apply(batch(Array.from({ length: 200 }, (_, i) => row(`${i}`, { seq }))));
      expect(index.find(sha256("7"))?.seq).toBe(seq);
      const done = checkpoint();
      expect(done?.checkpointed).toBe(done?.log ?? -1);
      expect(index.find(sha256("8"))?.seq).toBe(seq);
      sizes.push(index.walBytes());
    }
    // One that never started anew would be twenty times as long as after the first batch.
    expect(sizes.at(-1)).toBeLessThan(3 * (sizes[0] ?? 0));
    other.close();
    index.close();
    expect(fs.existsSync(`${databasePath}-wal`)).toBe(false);
  });
});

describe("SQLite after a power cut", () => {
  /** A log that was checkpointed whole, and then started anew; what it held before that is what the disk has kept. */
  function cutAfterRestart(change: (index: Index) => void): {
    home: IndexHome;
    walPath: string;
    old: Buffer;
  } {
    const { home, databasePath } = sqliteFolder();
    const walPath = `${databasePath}-wal`;
    const index = home.open();
    index.adopt({ storeId }, firstMark);
    for (let seq = 1; seq <= 20; seq++) index.apply(batch([row(`${seq}`, { seq })]));
    for (let seq = 1; seq <= 20; seq++) change(index);
    const old = fs.readFileSync(walPath);
    const other = new Database(databasePath);
    other.exec("PRAGMA wal_checkpoint(PASSIVE)");
    other.close();
    index.apply(batch([row("after", { seq: 21 })]));
    // Ending the last connection is a checkpoint, which no power cut makes.
    const database = fs.readFileSync(databasePath);
    index.drop();
    fs.writeFileSync(databasePath, database);
    fs.rmSync(`${databasePath}-shm`, { force: true });
    return { home, walPath, old };
  }

  test.each([1 / 4, 1 / 2, 0.9])(
    "is damaged when %d of the log before the last one is there",
    (share) => {
      for (const change of [
        (index: Index): void => index.apply(batch([row("again", { seq: 20 })])),
        (index: Index): void => void index.evict(1, [{ id: sha256("7"), offsetBytes: 4_096 }]),
        (index: Index): void => index.uploads.putUpload(upload),
      ]) {
        const { home, walPath, old } = cutAfterRestart(change);
        fs.writeFileSync(walPath, old.subarray(0, Math.floor(share * old.length)));
        expect(() => home.open()).toThrow(expect.objectContaining({ code: "damaged" }));
      }
    },
  );

  test("has everything up to its last checkpoint when the log before the last one is there, or none of it is whole", () => {
    for (const share of [1, 0.001]) {
      const { home, walPath, old } = cutAfterRestart((index) => void index.evict(1, []));
      fs.writeFileSync(walPath, old.subarray(0, Math.floor(share * old.length)));
      const index = home.open();
      expect(index.find(sha256("20"))?.seq).toBe(20);
      expect(index.find(sha256("after"))).toBeNull();
      index.close();
    }
  });
});

/** What a process leaves that ends after so many pages of the checkpoint that takes its database from one to the other. */
function cutCheckpoint(before: Buffer, after: Buffer, pages: number): Buffer {
  let cut = Buffer.from(before);
  let written = 0;
  for (let at = 0; at < after.length && written < pages; at += pageBytes) {
    const page = after.subarray(at, at + pageBytes);
    if (page.equals(cut.subarray(at, at + pageBytes))) continue;
    cut = Buffer.concat([cut.subarray(0, at), page, cut.subarray(at + pageBytes)]);
    written += 1;
  }
  return cut;
}

describe("SQLite in the middle of a checkpoint", () => {
  /** The files of a process that wrote much since its last checkpoint, and what that checkpoint would make of them. */
  function beforeCheckpoint(firstRows: number, newRows: number) {
    const { home, databasePath } = sqliteFolder();
    const index = home.open();
    index.adopt({ storeId }, firstMark);
    index.apply(batch(Array.from({ length: firstRows }, (_, i) => row(`${i}`, { seq: 1 }))));
    const other = new Database(databasePath);
    other.exec("PRAGMA wal_checkpoint(PASSIVE)");
    other.close();
    index.apply(batch(Array.from({ length: newRows }, (_, i) => row(`new ${i}`, { seq: 2 }))));
    index.uploads.putUpload(upload);
    const before = fs.readFileSync(databasePath);
    const wal = fs.readFileSync(`${databasePath}-wal`);
    const ending = new Database(databasePath);
    ending.exec("PRAGMA wal_checkpoint(PASSIVE)");
    ending.close();
    const after = fs.readFileSync(databasePath);
    index.drop();
    const walPath = `${databasePath}-wal`;
    const leave = (database: Buffer, log: Buffer): void => {
      fs.rmSync(`${databasePath}-shm`, { force: true });
      fs.writeFileSync(databasePath, database);
      fs.writeFileSync(walPath, log);
    };
    fs.writeFileSync(walPath, wal);
    return { home, before, wal, walPath, after, leave };
  }

  test("loses nothing, whatever page was the last one that it wrote", () => {
    const { home, before, wal, after, leave } = beforeCheckpoint(20, 300);
    expect(after.length).toBeGreaterThan(before.length + 4 * pageBytes);
    let cuts = 0;
    for (; cuts < after.length / pageBytes; cuts++) {
      const cut = cutCheckpoint(before, after, cuts);
      leave(cut, wal);
      const index = home.open();
      expect(index.countRows()).toBe(320);
      expect(index.find(sha256("new 299"))?.seq).toBe(2);
      expect([...index.uploads.uploads()]).toHaveLength(1);
      index.drop();
      if (cut.equals(after)) break;
    }
    expect(cuts).toBeGreaterThan(8);
  });

  test("is damaged when pages are missing that the write-ahead log does not have", () => {
    const { home, wal, walPath, after, leave } = beforeCheckpoint(3_000, 10);
    let pageCount = after.length / pageBytes;
    const inLog = readWalPages(realDisk, walPath, new Uint8Array(pageBytes))?.pages ?? new Set();
    // The last page of all that only the database file has.
    while (inLog.has(pageCount)) pageCount -= 1;
    leave(after.subarray(0, (pageCount - 1) * pageBytes), wal);
    expect(() => home.open()).toThrow(expect.objectContaining({ code: "damaged" }));
  });

  test("is damaged when its first page is none of the write-ahead log's", () => {
    const { home, before, wal, after, leave } = beforeCheckpoint(20, 300);
    const cut = cutCheckpoint(before, after, 2);
    // It counts as many pages as the checkpoint would make, and its schema is another one.
    cut.writeUInt8(cut.readUInt8(150) ^ 1, 150);
    leave(cut, wal);
    expect(() => home.open()).toThrow(expect.objectContaining({ code: "damaged" }));
  });

  test("is damaged when the write-ahead log that has the missing pages is not whole", () => {
    const { home, before, wal, after, leave } = beforeCheckpoint(20, 300);
    const flipped = Buffer.from(wal);
    flipped.writeUInt8(flipped.readUInt8(200) ^ 1, 200);
    for (const log of [wal.subarray(0, wal.length / 2), flipped]) {
      leave(cutCheckpoint(before, after, 2), log);
      expect(() => home.open()).toThrow(expect.objectContaining({ code: "damaged" }));
    }
  });

  test("is opened again beside itself, though its file alone looks torn", () => {
    const { home, databasePath } = sqliteFolder();
    const index = home.open();
    index.adopt({ storeId }, firstMark);
    index.apply(batch(Array.from({ length: 200 }, (_, i) => row(`${i}`, { seq: 1 }))));
    // A checkpoint writes its pages in order: the first one counts more of them than the file has yet.
    const fd = fs.openSync(databasePath, "r+");
    fs.writeSync(fd, Buffer.from([0, 0, 0x10, 0]), 0, 4, pageCountAt);
    fs.closeSync(fd);
    const again = home.reopen();
    expect(again.find(sha256("7"))?.seq).toBe(1);
    again.apply(batch([row("7", { seq: 2 })]));
    index.drop();
    expect(again.find(sha256("7"))?.seq).toBe(2);
    again.close();
  });

  test("is not made anew when somebody took its file away", () => {
    const { home, databasePath } = sqliteFolder();
    const index = home.open();
    index.adopt({ storeId }, firstMark);
    fs.rmSync(databasePath);
    expect(() => home.reopen()).toThrow(expect.objectContaining({ code: "damaged" }));
    index.drop();
  });
});

describe("the simulated index", () => {
  test("forgets as many of the last transactions at a power cut as it is told to", () => {
    for (const [lost, kept] of [
      [0, 3],
      [1, 2],
      [3, 0],
    ] as const) {
      const home = new SimIndexHome(new SimCalls());
      const index = home.open();
      index.adopt({ storeId }, firstMark);
      home.flush();
      for (const seq of [1, 2, 3]) index.apply(batch([row(`k${seq}`, { seq })]));
      const next = new SimIndexHome(new SimCalls(), home.crash(lost)).open();
      expect(next.countRows()).toBe(kept);
      expect(next.identity()).not.toBeNull();
    }
  });

  test("fails before a commit or after it, as it is told to", () => {
    for (const effect of [0, 1]) {
      const calls = new SimCalls();
      const index = new SimIndexHome(calls).open();
      index.adopt({ storeId }, firstMark);
      calls.fail({ at: 2, kind: "indexApply", times: "once", code: "EIO", effect });
      expect(() => index.apply(batch([row("one")]))).toThrow();
      expect(index.countRows()).toBe(effect);
    }
  });
});
