import type { Manifest, Store } from "../../store/store.ts";
import { manifestFlags } from "../../store/store.ts";
import { checksumHeader } from "./checksum.ts";
import { artifactDurationHeader, artifactTagHeader } from "./turborepo-headers.ts";

/**
 * Attributes that go back with an artifact as the headers they came in. Only these: what a record of another version
 * carries must not become a header by itself.
 */
const returnedHeaders = [checksumHeader, artifactDurationHeader, artifactTagHeader] as const;

/**
 * Adds what the uploader declared; false when that is damaged, and the artifact a miss. Never computed from what is
 * stored: a checksum made here would certify damage.
 */
export function addReturnedHeaders(
  headers: Record<string, string>,
  store: Store,
  manifest: Manifest,
): boolean {
  if ((manifest.flags & manifestFlags.hasAttributes) === 0) return true;
  const attributes = store.attributes(manifest);
  if (attributes === null) return false;
  for (const name of returnedHeaders) {
    const value = attributes[name];
    if (value !== undefined) headers[name] = value;
  }
  return true;
}
