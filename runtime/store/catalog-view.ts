import type { AbsentMemo } from "./absent-memo.ts";
import type { StoreFiles } from "./files.ts";
import type { IdFilter } from "./id-filter.ts";
import type { ArtifactName } from "./identity.ts";
import type { Index } from "./index.ts";
import type { ManifestCache } from "./manifest-cache.ts";
import { type Manifest, manifestFlags } from "./store.ts";
import type { Quarantine, Tombstones } from "./tombstones.ts";

/** Everything that decides whether a row is an artifact that can be read. */
export type CatalogView = {
  readonly cache: ManifestCache;
  readonly filter: IdFilter;
  readonly absent: AbsentMemo;
  /** Replaced when it had to be opened again. */
  index: Index;
  readonly tombstones: Tombstones;
  readonly quarantine: Quarantine;
  readonly files: StoreFiles;
};

/** The row of an id, live or not: from the cache of manifests, else by one statement. */
export function findRow(view: CatalogView, id: Uint8Array): Manifest | null {
  const cached = view.cache.get(id);
  if (cached !== null) return cached;
  if (!view.filter.mayHold(id) || view.absent.has(id)) return null;
  const row = view.index.find(id);
  if (row !== null) {
    view.cache.put(row);
    return row;
  }
  view.absent.add(id);
  view.filter.noteVainLookUp();
  return null;
}

/** Whether a row counts: not deleted, not cleaned, not quarantined, its file not missing. */
export function isLive(view: CatalogView, row: Manifest, name: ArtifactName): boolean {
  if ((row.flags & manifestFlags.deleted) !== 0) return false;
  if (row.version <= view.tombstones.versionOf(name.scope.hashKey)) return false;
  if (view.quarantine.holds(row.id, row.version)) return false;
  return view.files.holds(row.file);
}
