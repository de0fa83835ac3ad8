import type { CatalogView } from "./catalog-view.ts";
import type { DamageLedger } from "./damage.ts";
import { bytesKey } from "./identity.ts";
import type { Maintenance } from "./maintenance.ts";
import type { Running } from "./running.ts";
import type { DamagedPlace, HitRow } from "./scrub-place.ts";
import { type Manifest, manifestFlags } from "./store.ts";

export type JudgeParts = {
  readonly running: Running;
  readonly maintenance: Maintenance;
  readonly damage: DamageLedger;
};

export type Judgement = {
  /** Artifacts that are a miss from now on. */
  readonly found: readonly { readonly row: Manifest; readonly place: DamagedPlace }[];
  /** Damaged places of segments that no artifact needs. */
  readonly elsewhere: number;
};

/** Finds the artifacts that lie in damaged places, and quarantines those that are not known to be damaged yet. */
export async function judgePlaces(
  { running, maintenance, damage }: JudgeParts,
  places: readonly DamagedPlace[],
): Promise<Judgement> {
  const { view, reader } = running;
  const found: { row: Manifest; place: DamagedPlace }[] = [];
  const needed = new Set<number>();
  for (const hit of await maintenance.findRowsAt(places)) {
    const place = places[hit.place]!;
    // The first page of an upload that is under way is not written yet: what was wrong then may be an artifact now.
    if (place.isLarge && (await isWholeNow(running, maintenance, hit))) continue;
    const row = rowNow(view, hit);
    if (row === null) continue;
    needed.add(hit.place);
    reader.forgetBody(row);
    if (damage.noteBody(view, row, false)) found.push({ row, place });
  }
  const others = places.filter((place, number) => {
    return !place.isLarge && !place.isTail && !needed.has(number);
  });
  return { found, elsewhere: others.length };
}

async function isWholeNow(
  { view }: Running,
  maintenance: Maintenance,
  hit: HitRow,
): Promise<boolean> {
  const row = rowNow(view, hit);
  return row !== null && (await maintenance.checkLarge(view.files.largePath(row.file), row));
}

/** The row as it is now, if it still is an artifact at the same place. */
function rowNow(view: CatalogView, hit: HitRow): Manifest | null {
  const row = view.index.find(hit.id);
  if (row === null) return null;
  if (row.file !== hit.file || row.offsetBytes !== hit.offsetBytes) return null;
  if ((row.flags & manifestFlags.deleted) !== 0 || !view.files.holds(row.file)) return null;
  return row.version > view.tombstones.versionOf(bytesKey(hit.scopeHash)) ? row : null;
}
