import { Fault } from "../../base/fault.ts";
import type { ArtifactKind } from "../../catalog/kinds.ts";
import type { Result } from "../../observe/metrics.ts";
import type { MissReason } from "../../observe/pointer-reads.ts";
import type { ArtifactName } from "../../store/identity.ts";
import type { Store } from "../../store/store.ts";

/** Why a pointer was not found; null for other kinds, for hits and for trouble, which says nothing about the cache. */
export function missReasonOf(
  store: () => Store,
  { class: kindClass }: ArtifactKind,
  name: ArtifactName,
  result: Result,
): MissReason | null {
  if (kindClass !== "pointer") return null;
  if (result === "incomplete") return "incomplete";
  return result === "not_found" ? askWhy(store, name) : null;
}

function askWhy(store: () => Store, name: ArtifactName): MissReason | null {
  try {
    // What is there all the same are bytes that are no pointer of this surface: that one was never written.
    return store().whyMissing(name) ?? "never_written";
  } catch (error) {
    // The store has stopped meanwhile: whoever asks next is told so, this one has his answer.
    if (error instanceof Fault) return null;
    throw error;
  }
}
