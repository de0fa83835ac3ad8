import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { sha256 } from "../../../../runtime/base/digest.ts";
import type { DamagedPlace, HitRow } from "../../../../runtime/store/scrub-place.ts";
import { findRowsAt } from "../../../../runtime/store/scrub-rows.ts";

const rowCount = 25_000;
const rowsPerFile = 1_000;
const rowBytes = 100;

const idOf = (number: number) => sha256(`row ${number}`);

/** Rows of 100 bytes back to back, 1,000 a file. */
function makeIndex(): Database {
  const database = new Database(":memory:");
  database.exec(
    "CREATE TABLE artifact (id BLOB PRIMARY KEY, file INTEGER, offset_bytes INTEGER, scope_hash BLOB) WITHOUT ROWID",
  );
  const insert = database.prepare("INSERT INTO artifact VALUES (?, ?, ?, ?)");
  database.exec("BEGIN");
  for (let i = 0; i < rowCount; i++) {
    const offset = rowBytes * (i % rowsPerFile);
    insert.run(idOf(i), Math.floor(i / rowsPerFile), offset, new Uint8Array(16).fill(i % 5));
  }
  database.exec("COMMIT");
  return database;
}

function find(database: Database, places: readonly DamagedPlace[]): HitRow[] {
  const steps = findRowsAt(database, places);
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

function placeAt(file: number, startBytes: number, endBytes: number, id: Uint8Array | null = null) {
  return { file, isLarge: false, isTail: false, startBytes, endBytes, id, name: null };
}

test("rows are found by place, by id or by both, each for its place", () => {
  const database = makeIndex();
  const places = [
    placeAt(3, 200, 450),
    placeAt(24, 99_900, Number.MAX_SAFE_INTEGER),
    placeAt(5, 0, 100, idOf(5_000)),
    placeAt(5, 100, 200, idOf(5_000)),
    placeAt(7, 0, 100, idOf(5_000)),
    placeAt(99, 0, 1_000),
    placeAt(0, 150, 200),
  ];
  const hits = find(database, places).map(({ place, id, file, offsetBytes }) => ({
    place,
    id: Buffer.from(id).toString("hex"),
    file,
    offsetBytes,
  }));
  const wanted = [
    [0, 3_002],
    [0, 3_003],
    [0, 3_004],
    [1, 24_999],
    [2, 5_000],
  ].map(([place = 0, number = 0]) => ({
    place,
    id: Buffer.from(idOf(number)).toString("hex"),
    file: Math.floor(number / rowsPerFile),
    offsetBytes: rowBytes * (number % rowsPerFile),
  }));
  const order = (a: { offsetBytes: number; place: number }, b: typeof a) =>
    a.place - b.place || a.offsetBytes - b.offsetBytes;
  expect(hits.sort(order)).toEqual(wanted);
});

test("an index without rows has none", () => {
  const database = makeIndex();
  database.exec("DELETE FROM artifact");
  expect(find(database, [placeAt(1, 0, 1_000), placeAt(1, 0, 9, idOf(1))])).toEqual([]);
});
