import { scopesMax } from "../base/limits.ts";
import { makeScope, type Scope } from "../store/identity.ts";

/**
 * A bounded memory in two generations: when the young one is full it becomes the old one, and what nobody asked for
 * since is forgotten. A hit costs one look-up, without the bookkeeping of a list.
 */
export class RecentMap<V> {
  readonly #halfMax: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  constructor(entriesMax: number) {
    this.#halfMax = Math.max(1, Math.floor(entriesMax / 2));
  }

  get(key: string): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: V): void {
    if (this.#young.size >= this.#halfMax) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}

/** Scopes by name. Making one costs a SHA-256, and a build asks for the same few thousands of times. */
export class ScopeCache {
  readonly #known = new RecentMap<Scope>(scopesMax);
  /** The last answer by the very names of the question: surfaces without a tenant always ask for the same. */
  #last: { tenant: string; namespace: string; scope: Scope } | null = null;

  /** The scope of a tenant and a namespace as a request named them: lower-cased here and nowhere else. */
  of(tenant: string, namespace: string): Scope {
    const last = this.#last;
    if (last?.tenant === tenant && last.namespace === namespace) return last.scope;
    const scope = this.#find(tenant, namespace);
    this.#last = { tenant, namespace, scope };
    return scope;
  }

  #find(tenant: string, namespace: string): Scope {
    const lowerTenant = tenant.toLowerCase();
    const lowerNamespace = namespace.toLowerCase();
    const key = `${lowerTenant}\0${lowerNamespace}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const scope = makeScope(lowerTenant, lowerNamespace);
    this.#known.set(key, scope);
    return scope;
  }
}
