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

/** A later write replaces the earlier one. */
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

/** A module of the Tuist module cache, uploaded in parts. */
export const moduleEntry: ArtifactKind = {
  place: 5,
  producer: "module",
  kind: "module",
  class: "pointer",
  ...octets,
};

/** A blob of the Remote Execution API, which Bazel's HTTP protocol shares. */
export const reapiBlob: ArtifactKind = {
  place: 6,
  producer: "reapi",
  kind: "blob",
  class: "blob",
  ...octets,
};

/** What an action made: the later result replaces the earlier one. */
export const actionResult: ArtifactKind = {
  place: 7,
  producer: "reapi",
  kind: "actionResult",
  class: "pointer",
  rule: "lastWins",
  contentType: "application/octet-stream",
};

/** ccache replaces entries and deletes them. */
export const ccacheEntry: ArtifactKind = {
  place: 8,
  producer: "ccache",
  kind: "ccache",
  class: "pointer",
  rule: "lastWins",
  contentType: "application/octet-stream",
};

/** Replaced by every write: a team that begins to sign its artifacts must get the unsigned ones out of the way. */
export const turborepoEntry: ArtifactKind = {
  place: 9,
  producer: "turborepo",
  kind: "turborepo",
  class: "pointer",
  rule: "lastWins",
  contentType: "application/octet-stream",
};

export const artifactKinds: readonly ArtifactKind[] = [
  xcodeBlob,
  keyValue,
  gradleEntry,
  nxEntry,
  metroEntry,
  moduleEntry,
  reapiBlob,
  actionResult,
  ccacheEntry,
  turborepoEntry,
];
