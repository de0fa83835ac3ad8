import type { AbsentMemo } from "./absent-memo.ts";
import type { StoreFiles } from "./files.ts";
import type { IdFilter } from "./id-filter.ts";
import type { ArtifactName } from "./identity.ts";
import type { Index } from "./index.ts";
import type { Leases } from "./leases.ts";
import type { ManifestCache } from "./manifest-cache.ts";
import type { PointerAge } from "./pointer-age.ts";
import { type Manifest, manifestFlags } from "./store.ts";
import type { Quarantine, Tombstones } from "./tombstones.ts";

/** Everything that decides whether a row is an artifact that can be read. */
export type CatalogView = {
  readonly cache: ManifestCache;
  /** Replaced when most of what it has seen is gone. */
  filter: IdFilter;
  readonly absent: AbsentMemo;
  /** Replaced when it had to be opened again. */
  index: Index;
  readonly tombstones: Tombstones;
  readonly quarantine: Quarantine;
  readonly files: StoreFiles;
  readonly pointers: PointerAge;
  readonly leases: Leases;
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

/** The same for the store's own errands: what it looks at is not taken for in demand. */
export function peekRow(view: CatalogView, id: Uint8Array): Manifest | null {
  const cached = view.cache.get(id);
  if (cached !== null) return cached;
  if (!view.filter.mayHold(id) || view.absent.has(id)) return null;
  return view.index.find(id);
}

/**
 * Where an artifact lies now: it may have been written again at the end of the log since its manifest was found. Null when
 * it is gone.
 */
export function placeNow(view: CatalogView, manifest: Manifest): Manifest | null {
  if (view.files.holds(manifest.file)) return manifest;
  const row = peekRow(view, manifest.id);
  if (row === null || row.version !== manifest.version) return null;
  return view.files.holds(row.file) ? row : null;
}

/** Whether a row counts: not deleted, not cleaned, not quarantined, not too old, its file not missing. */
export function isLive(view: CatalogView, row: Manifest, name: ArtifactName): boolean {
  if ((row.flags & manifestFlags.deleted) !== 0) return false;
  if (row.version <= view.tombstones.versionOf(name.scope.hashKey)) return false;
  if (view.quarantine.holds(row.id, row.version)) return false;
  if (row.version < view.pointers.floorVersion && view.pointers.isForgotten(row)) return false;
  return view.files.holds(row.file);
}
