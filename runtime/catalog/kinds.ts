import type { Producer } from "../store/identity.ts";
import type { Kind } from "../store/store.ts";

/** What an artifact of a surface is, and by which rule it is written. */
export type ArtifactKind = {
  /** Place in `artifactKinds`, by which the metrics know it. */
  readonly place: number;
  readonly producer: Producer;
  readonly kind: Kind;
  /** A pointer names other artifacts or is looked up by a hash of inputs; a blob is named by its content. */
  readonly class: "blob" | "pointer";
  readonly rule: "firstWins" | "lastWins";
  readonly contentType: "application/octet-stream" | "application/json";
};

const octets = { rule: "firstWins", contentType: "application/octet-stream" } as const;

export const xcodeBlob: ArtifactKind = {
  place: 0,
  producer: "xcode",
  kind: "blob",
  class: "blob",
  ...octets,
};

/** The only kind of these whose later write replaces the earlier one. */
export const keyValue: ArtifactKind = {
  place: 1,
  producer: "xcode",
  kind: "keyValue",
  class: "pointer",
  rule: "lastWins",
  contentType: "application/json",
};

export const gradleEntry: ArtifactKind = {
  place: 2,
  producer: "gradle",
  kind: "gradle",
  class: "pointer",
  ...octets,
};

export const nxEntry: ArtifactKind = {
  place: 3,
  producer: "nx",
  kind: "nx",
  class: "pointer",
  ...octets,
};

export const metroEntry: ArtifactKind = {
  place: 4,
  producer: "metro",
  kind: "metro",
  class: "pointer",
  ...octets,
};

export const artifactKinds: readonly ArtifactKind[] = [
  xcodeBlob,
  keyValue,
  gradleEntry,
  nxEntry,
  metroEntry,
];
