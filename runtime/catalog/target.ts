import { type ArtifactName, nameArtifact, type Producer, type Scope } from "../store/identity.ts";

export type Action = "read" | "write" | "clean";

/**
 * What a request is about. Decoded once, then shared by authorization, handler, metrics and analytics: two decoders
 * that disagree are a hole.
 */
export type Target = {
  readonly scope: Scope;
  /** Null for a clean, which is about all producers of the scope. */
  readonly producer: Producer | null;
  /** Logical key inside the scope, such as `blob/{id}`; empty for a clean. */
  readonly key: string;
  readonly action: Action;
  /** Null for a clean. */
  readonly name: ArtifactName | null;
};

export type ArtifactTarget = Target & { readonly producer: Producer; readonly name: ArtifactName };

export function artifactTarget(
  action: "read" | "write",
  artifact: { readonly producer: Producer; readonly scope: Scope; readonly key: string },
): ArtifactTarget {
  const { producer, scope, key } = artifact;
  return { scope, producer, key, action, name: nameArtifact(producer, scope, key) };
}

export function cleanTarget(scope: Scope): Target {
  return { scope, producer: null, key: "", action: "clean", name: null };
}
