import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { readWalPages } from "../../../../runtime/store/wal-pages.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kura-wal-pages-"));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const pageBytes = 4_096;
/** Of any database. */
const firstPage = new Uint8Array(pageBytes);
const frameBytes = 24 + pageBytes;
const headerBytes = 32;

/** A log of transactions of one, two and more pages that SQLite itself wrote, and its database. */
function writeLog(): { database: Buffer; log: Buffer } {
  const place = path.join(fs.mkdtempSync(path.join(folder, "source-")), "kura.db");
  const database = new Database(place, { create: true });
  database.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
  database.exec("CREATE TABLE body (id INTEGER PRIMARY KEY, bytes BLOB)");
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  const put = database.prepare("INSERT INTO body (bytes) VALUES (?)");
  for (const pages of [1, 2, 0.1, 7, 3]) {
    database.transaction(() => put.run(new Uint8Array(pages * pageBytes).fill(7)))();
  }
  const files = { database: fs.readFileSync(place), log: fs.readFileSync(`${place}-wal`) };
  database.close();
  return files;
}

/** How many pages the database has for SQLite, with this log. */
function pageCountOf(database: Buffer, log: Buffer): number {
  const place = path.join(folder, "judged.db");
  fs.rmSync(`${place}-shm`, { force: true });
  fs.writeFileSync(place, database);
  fs.writeFileSync(`${place}-wal`, log);
  const opened = new Database(place);
  const { count } = opened
    .query<{ count: number }, []>("SELECT count(*) AS count FROM body")
    .get() ?? {
    count: -1,
  };
  expect(count).toBeGreaterThanOrEqual(0);
  const row = opened.query<{ page_count: number }, []>("PRAGMA page_count").get();
  opened.close();
  return row?.page_count ?? -1;
}

function pageCountRead(database: Buffer, log: Buffer): number {
  const place = path.join(folder, "read-wal");
  fs.writeFileSync(place, log);
  return readWalPages(realDisk, place, firstPage)?.pageCount ?? database.length / pageBytes;
}

test("takes from a log what SQLite takes, wherever it was cut or a bit of it was flipped", () => {
  const { database, log } = writeLog();
  const frames = (log.length - headerBytes) / frameBytes;
  expect(frames).toBeGreaterThan(15);
  const counts = new Set<number>();
  const compare = (changed: Buffer): void => {
    const count = pageCountRead(database, changed);
    expect(count).toBe(pageCountOf(database, changed));
    counts.add(count);
  };
  compare(log);
  for (const at of [0, 9, 14, 20, 30]) compare(flipped(log, at));
  for (let frame = 0; frame < frames; frame++) {
    const at = headerBytes + frame * frameBytes;
    for (const offset of [1, 6, 9, 18, 22, 24, 24 + pageBytes - 1])
      compare(flipped(log, at + offset));
    for (const offset of [0, 10, 100, frameBytes - 1]) compare(log.subarray(0, at + offset));
  }
  // The database as it was and each of the transactions.
  expect(counts.size).toBe(6 - 1);
});

test("knows each page of the whole transactions", () => {
  const { database, log } = writeLog();
  const place = path.join(folder, "whole-wal");
  fs.writeFileSync(place, log);
  const found = readWalPages(realDisk, place, firstPage);
  const firstNew = database.length / pageBytes + 1;
  for (let page = firstNew; page <= (found?.pageCount ?? 0); page++) {
    expect(found?.pages.has(page)).toBe(true);
  }
  expect(found?.pages.has((found?.pageCount ?? 0) + 1)).toBe(false);
  expect(readWalPages(realDisk, path.join(folder, "absent"), firstPage)).toBeNull();
});

test("knows whether the first page of a database is one of a whole transaction", () => {
  const { log } = writeLog();
  const place = path.join(folder, "first-wal");
  const firsts: Buffer[] = [];
  let lastAt = 0;
  for (let at = headerBytes; at < log.length; at += frameBytes) {
    if (log.readUInt32BE(at) !== 1) continue;
    lastAt = at;
    firsts.push(log.subarray(at + 24, at + frameBytes));
  }
  expect(firsts.length).toBeGreaterThan(2);
  fs.writeFileSync(place, log);
  for (const first of firsts) {
    expect(readWalPages(realDisk, place, first)?.hasFirst).toBe(true);
    expect(readWalPages(realDisk, place, flipped(first, 100))?.hasFirst).toBe(false);
  }
  // The last transaction of the log is cut off behind this page.
  fs.writeFileSync(place, log.subarray(0, lastAt + frameBytes));
  const isLastWhole = log.readUInt32BE(lastAt + 4) !== 0;
  const last = firsts.at(-1) ?? firstPage;
  expect(readWalPages(realDisk, place, last)?.hasFirst).toBe(isLastWhole);
  expect(isLastWhole).toBe(false);
});

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ 4, at);
  return changed;
}
