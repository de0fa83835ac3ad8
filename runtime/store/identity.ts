import { sha256 } from "../base/digest.ts";

/** Producers: part of every artifact's identity. The numbers are on disk and never change meaning. */
export const producers = {
  xcode: 1,
  gradle: 2,
  module: 3,
  nx: 4,
  metro: 5,
  reapi: 6,
  ccache: 7,
  turborepo: 8,
} as const;
export type Producer = keyof typeof producers;

/** Tenant and namespace, lower-cased; the empty namespace is the tenant's own scope. */
export type Scope = {
  readonly tenant: string;
  readonly namespace: string;
  /** First 16 bytes of SHA-256 over tenant NUL namespace. */
  readonly hash: Uint8Array;
  /** The same 16 bytes as text, one character a byte: a key for maps. */
  readonly hashKey: string;
};

/** The full name of an artifact and its identity, SHA-256 over producer, tenant, namespace and key joined by NUL. */
export type ArtifactName = {
  readonly producer: Producer;
  readonly scope: Scope;
  readonly key: string;
  readonly id: Uint8Array;
};

export function makeScope(tenant: string, namespace: string): Scope {
  const hash = sha256(`${tenant}\0${namespace}`).slice(0, 16);
  return { tenant, namespace, hash, hashKey: bytesKey(hash) };
}

export function nameArtifact(producer: Producer, scope: Scope, key: string): ArtifactName {
  const id = sha256(`${producer}\0${scope.tenant}\0${scope.namespace}\0${key}`);
  return { producer, scope, key, id };
}

/** Bytes as a string of one character a byte, for use as a key of a map. */
export function bytesKey(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** The first six bytes of an id as a number: equal ids have equal prefixes, and others hardly ever do. */
export function idPrefix(id: Uint8Array): number {
  const high = (id[0]! << 16) | (id[1]! << 8) | id[2]!;
  const low = (id[3]! << 16) | (id[4]! << 8) | id[5]!;
  return high * 16_777_216 + low;
}

export function sameId(left: Uint8Array, right: Uint8Array): boolean {
  for (let i = 0; i < 32; i++) if (left[i] !== right[i]) return false;
  return true;
}
