import { type DigestFunction, digestFunctions, digestOf } from "../base/digest-function.ts";
import { MiB } from "../base/units.ts";
import { type ArtifactName, nameArtifact, type Scope } from "../store/identity.ts";
import { RecentMap } from "./scopes.ts";

/** What the Remote Execution API and Bazel's HTTP protocol share: one keyspace, whichever of them wrote. */

/** The namespace of an empty instance name. @source surfaces.md 5.3. */
export const defaultInstance = "default";

/** Largest action result: what a gRPC message of usual size can carry. @source surfaces.md 5.5. */
export const actionResultBytesMax = 4 * MiB;

/** A hash is lower-case hex. The size is in the row, not in the key: a wrong size is a miss, not another blob. */
export function blobKey(digestFunction: DigestFunction, hash: string): string {
  return digestFunction === "sha256" ? `blob/${hash}` : `blob/${digestFunction}/${hash}`;
}

export function actionKey(digestFunction: DigestFunction, hash: string): string {
  const place = digestFunction === "sha256" ? hash : `${digestFunction}/${hash}`;
  return `action_cache/${place}`;
}

/** Blobs are asked for, written and read in a row, and a name costs a SHA-256. 350 bytes each. */
const namesMax = 4_096;
/** By hash: those of different functions differ in length. */
const names = new RecentMap<ArtifactName>(namesMax);

export function nameBlob(scope: Scope, digestFunction: DigestFunction, hash: string): ArtifactName {
  const known = names.get(hash);
  if (known !== undefined && known.scope === scope) return known;
  const name = nameArtifact("reapi", scope, blobKey(digestFunction, hash));
  names.set(hash, name);
  return name;
}

const emptyHashes: ReadonlySet<string> = new Set(
  digestFunctions.map((digestFunction) => {
    return Buffer.from(digestOf(digestFunction, new Uint8Array(0))).toString("hex");
  }),
);

/** The empty blob is always there, stored or not. @source surfaces.md 5.4. */
export function isEmptyHash(hash: string): boolean {
  return emptyHashes.has(hash);
}
