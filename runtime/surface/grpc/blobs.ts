import { reapiBlob } from "../../catalog/kinds.ts";
import { isEmptyHash, nameBlob } from "../../catalog/reapi.ts";
import type { WholeBodyDeps } from "../../catalog/whole-body.ts";
import type { ArtifactName, Scope } from "../../store/identity.ts";
import type { Manifest, Outcome, StagedBody } from "../../store/store.ts";
import type { Call } from "../../wire/grpc/method.ts";
import type { WireDigest } from "../../wire/proto/digest.ts";
import { readSlice } from "../http/download.ts";
import type { GrpcSurface } from "./surface.ts";

/** What the services have in common in front of the store. */

/** The empty blob is always there, stored or not. @source surfaces.md 5.4. */
export function isEmpty({ hash, sizeBytes }: WireDigest): boolean {
  return sizeBytes === 0 && isEmptyHash(hash);
}

/** The blob of a digest, or null: one of another size is another blob. */
export function findBlob(surface: GrpcSurface, scope: Scope, digest: WireDigest): Manifest | null {
  const { digestFunction, hash, sizeBytes } = digest;
  const manifest = surface.store().find(nameBlob(scope, digestFunction, hash));
  return manifest !== null && manifest.sizeBytes === sizeBytes ? manifest : null;
}

/** The same for an answer by which the client will not send it: it stays for as long as a lease lasts. */
export function vouchForBlob(surface: GrpcSurface, scope: Scope, digest: WireDigest): boolean {
  const manifest = findBlob(surface, scope, digest);
  if (manifest === null) return false;
  surface.store().vouch(manifest);
  return true;
}

/** What it takes to read whole bodies for one call. */
export function bodyDeps(surface: GrpcSurface, call: Call): WholeBodyDeps & CatalogStore {
  const { reads: budget, files } = surface;
  return {
    store: surface.store(),
    budget,
    // Made only for those who wait.
    get signal() {
      return call.signal;
    },
    readSlice: (slice) => readSlice(files, slice, call),
  };
}

type CatalogStore = { readonly store: ReturnType<GrpcSurface["store"]> };

/** Commits a blob whose bytes have the digest that names it. What is there already stays. */
export async function commitBlob(
  surface: GrpcSurface,
  name: ArtifactName,
  { digest, body }: { digest: WireDigest; body: Uint8Array | StagedBody },
): Promise<Outcome> {
  const outcome = await surface.store().commit({
    op: "put",
    name,
    rule: reapiBlob.rule,
    contentType: reapiBlob.contentType,
    body,
    kind: reapiBlob.kind,
    sha256: sha256Of(digest),
    attributes: {},
    writer: "",
  });
  surface.uploads.blobIsHere(blobPlace(name));
  return outcome;
}

/** What a blob is known by to other uploads of it. */
export function blobPlace({ id }: ArtifactName): string {
  return Buffer.from(id.buffer, id.byteOffset, id.length).toString("latin1");
}

export function sha256Of({ digestFunction, hash }: WireDigest): Uint8Array | null {
  return digestFunction === "sha256" ? new Uint8Array(Buffer.from(hash, "hex")) : null;
}
