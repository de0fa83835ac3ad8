import type { Database } from "bun:sqlite";
import { type DamagedPlace, type HitRow, isRowAt } from "./scrub-place.ts";

/** Rows of one read transaction: a long one would keep checkpoints from ending. */
const pageRows = 10_000;
/** Rows that are looked up by their id in one step. */
const lookUpsPerStep = 256;

/** Longer than any id, and so above the highest. */
const aboveAllIds = new Uint8Array(33).fill(0xff);

type FoundRow = Omit<HitRow, "place">;

const columns = "id, file, offset_bytes AS offsetBytes, scope_hash AS scopeHash";

/**
 * The rows that point into damaged places. A place with an id costs one look-up; all others together cost one walk
 * through the index, since it has no order by place.
 */
export function* findRowsAt(
  database: Database,
  places: readonly DamagedPlace[],
): Generator<void, HitRow[]> {
  const hits: HitRow[] = [];
  yield* lookUp(database, places, hits);
  const unknown = new Set(places.filter(({ id }) => id === null).map(({ file }) => file));
  if (unknown.size > 0) yield* walk(database, places, [...unknown], hits);
  return hits;
}

function* lookUp(
  database: Database,
  places: readonly DamagedPlace[],
  hits: HitRow[],
): Generator<void, void> {
  const find = database.prepare<FoundRow, [Uint8Array]>(
    `SELECT ${columns} FROM artifact WHERE id = ?`,
  );
  try {
    for (const [number, place] of places.entries()) {
      if (place.id === null) continue;
      const row = find.get(place.id);
      if (row !== null && isRowAt(place, row)) hits.push({ place: number, ...row });
      if (number % lookUpsPerStep === lookUpsPerStep - 1) yield;
    }
  } finally {
    find.finalize();
  }
}

/** Page by page: 15 ms a step, 1.5 s a million rows beside a full load. Rows of other files never become objects. */
function* walk(
  database: Database,
  places: readonly DamagedPlace[],
  files: readonly number[],
  hits: HitRow[],
): Generator<void, void> {
  const pageEnd = database.prepare<{ id: Uint8Array }, [Uint8Array]>(
    `SELECT id FROM artifact WHERE id > ? ORDER BY id LIMIT 1 OFFSET ${pageRows - 1}`,
  );
  const page = database.prepare<FoundRow, [Uint8Array, Uint8Array, string]>(
    `SELECT ${columns} FROM artifact WHERE id > ? AND id <= ?
     AND file IN (SELECT value FROM json_each(?))`,
  );
  const wanted = JSON.stringify(files);
  let after: Uint8Array = new Uint8Array(0);
  try {
    for (;;) {
      yield;
      const end = pageEnd.get(after)?.id ?? null;
      for (const row of page.all(after, end ?? aboveAllIds, wanted)) addHits(places, row, hits);
      if (end === null) return;
      after = end;
    }
  } finally {
    pageEnd.finalize();
    page.finalize();
  }
}

function addHits(places: readonly DamagedPlace[], row: FoundRow, hits: HitRow[]): void {
  for (const [number, place] of places.entries()) {
    if (place.id === null && isRowAt(place, row)) hits.push({ place: number, ...row });
  }
}
