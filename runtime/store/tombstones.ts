import { bytesKey } from "./identity.ts";
import type { Quarantined, Tombstone } from "./index.ts";

/** Cleaned scopes in memory: rows of a scope up to its tombstone's version are not there. Never expires. */
export class Tombstones {
  readonly #versions = new Map<string, number>();

  load(tombstones: readonly Tombstone[]): void {
    for (const tombstone of tombstones)
      this.raise(bytesKey(tombstone.scopeHash), tombstone.version);
  }

  raise(scopeHashKey: string, version: number): void {
    if (version > this.versionOf(scopeHashKey)) this.#versions.set(scopeHashKey, version);
  }

  /** Version of the scope's tombstone; 0 when it was never cleaned. */
  versionOf(scopeHashKey: string): number {
    return this.#versions.get(scopeHashKey) ?? 0;
  }

  get count(): number {
    return this.#versions.size;
  }
}

/** As many damaged artifacts are remembered as this; beyond it they are found out again at each read. */
const quarantineMax = 65_536;

/** Artifacts found damaged: a miss until a newer version is there. What is new is written with the next group. */
export class Quarantine {
  readonly #versions = new Map<string, number>();
  #fresh: Quarantined[] = [];

  load(entries: readonly Quarantined[]): void {
    for (const entry of entries) this.#versions.set(bytesKey(entry.id), entry.version);
  }

  add(id: Uint8Array, version: number): void {
    if (this.#versions.size >= quarantineMax) return;
    this.#versions.set(bytesKey(id), version);
    this.#fresh.push({ id: Uint8Array.from(id), version });
  }

  holds(id: Uint8Array, version: number): boolean {
    if (this.#versions.size === 0) return false;
    const held = this.#versions.get(bytesKey(id));
    return held !== undefined && held >= version;
  }

  get count(): number {
    return this.#versions.size;
  }

  /** Entries that no transaction has written yet. */
  fresh(): readonly Quarantined[] {
    return this.#fresh;
  }

  /** Says that a transaction has written the first `count` fresh ones. */
  settle(count: number): void {
    this.#fresh = this.#fresh.slice(count);
  }
}
