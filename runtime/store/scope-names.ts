import type { Disk } from "../base/disk.ts";
import { Fault } from "../base/fault.ts";
import { bytesKey, makeScope } from "./identity.ts";
import { readLargeHeader } from "./large-file.ts";
import { decodeMetadata, metadataBytesMax } from "./metadata.ts";
import { recordHeaderBytes } from "./record.ts";

/** Tenant and namespace, as they were written. */
export type ScopeName = { readonly tenant: string; readonly namespace: string };

/** A record, or a large file, of a scope that is known only by its hash. */
export type ScopePlace = {
  readonly path: string;
  readonly isLarge: boolean;
  readonly offsetBytes: number;
  readonly metadataBytes: number;
  readonly scopeHash: Uint8Array;
};

/** Places that are read before others have their turn. */
const placesPerStep = 64;

/**
 * The names of scopes, read from their files: the index has only hashes. Null where the file is gone or says something
 * else. A name is believed when it has the hash, so no checksum is needed.
 */
export function* readScopeNames(
  disk: Disk,
  places: readonly ScopePlace[],
): Generator<void, (ScopeName | null)[]> {
  const names: (ScopeName | null)[] = [];
  for (const place of places) {
    names.push(readScopeName(disk, place));
    if (names.length % placesPerStep === 0) yield;
  }
  return names;
}

function readScopeName(disk: Disk, place: ScopePlace): ScopeName | null {
  const found = readNames(disk, place);
  if (found === null) return null;
  const { tenant, namespace } = found;
  const isSame = makeScope(tenant, namespace).hashKey === bytesKey(place.scopeHash);
  return isSame ? { tenant, namespace } : null;
}

function readNames(disk: Disk, place: ScopePlace): ScopeName | null {
  const { path, isLarge, offsetBytes, metadataBytes } = place;
  const file = disk.open(path, "read");
  if (file === null) return null;
  try {
    if (isLarge) return readLargeHeader(file)?.metadata ?? null;
    const bytes = new Uint8Array(Math.min(metadataBytes, metadataBytesMax));
    const isWhole = file.read(bytes, offsetBytes + recordHeaderBytes) === bytes.length;
    return isWhole ? decodeMetadata(bytes) : null;
  } catch (error) {
    // A sector that cannot be read costs the report one name.
    if (error instanceof Fault) return null;
    throw error;
  } finally {
    file.close();
  }
}
