import type { Random } from "../../runtime/base/random.ts";
import { keyText, type LoadKey, type SurfaceName, surfaces } from "./load-surface.ts";

/**
 * Which names a load writes. In namespaces that are cleaned the names start over, so that every name ever used can be
 * read back at every audit; the kept namespace only grows, by a bounded number of names a cycle.
 */
export class KeySpace {
  readonly #seed: number;
  readonly #cleanedNamespaces: readonly string[];
  readonly #counts = new Map<string, number>();
  #keptQuota = 0;
  #generation = 0;

  constructor(seed: number, cleanedNamespaceCount: number) {
    this.#seed = seed;
    this.#cleanedNamespaces = Array.from({ length: cleanedNamespaceCount }, (_, i) => `clean${i}`);
  }

  /** Allows so many more names in the namespace that is never cleaned. */
  allowKept(count: number): void {
    this.#keptQuota = count;
  }

  /** A name of which we think that nothing is stored under it. */
  drawFresh(random: Random): LoadKey {
    const surface = surfaces[random.below(surfaces.length)]!;
    const namespace = this.#drawNamespaceOf(surface, random);
    const index = this.#count(surface, namespace);
    this.#counts.set(`${surface}/${namespace}`, index + 1);
    return { surface, namespace, index };
  }

  /** A name of which we think that something is stored under it; null when there is none where chance looked. */
  drawExisting(random: Random): LoadKey | null {
    const surface = surfaces[random.below(surfaces.length)]!;
    const isKept = random.below(3) === 0;
    const namespace = isKept ? keptNamespace : this.#drawNamespaceOf(surface, random);
    const count = this.#count(surface, namespace);
    return count === 0 ? null : { surface, namespace, index: random.below(count) };
  }

  /** A namespace to be cleaned. */
  drawNamespace(random: Random): string {
    const own = this.#cleanedNamespaces;
    const drawn = random.below(own.length + ownedNamespaces.length);
    return own[drawn] ?? ownedNamespaces[drawn - own.length]!;
  }

  cleaned(namespace: string): void {
    for (const surface of surfaces) this.#counts.delete(`${surface}/${namespace}`);
  }

  /** A text that no other content of this run was made from. */
  nextContentName(key: LoadKey): string {
    return `${this.#seed} ${keyText(key)} ${this.#generation++}`;
  }

  #count(surface: SurfaceName, namespace: string): number {
    return this.#counts.get(`${surface}/${namespace}`) ?? 0;
  }

  #drawNamespaceOf(surface: SurfaceName, random: Random): string {
    if (surface === "nx" || surface === "metro") return surface;
    if (this.#keptQuota > 0 && random.below(4) === 0) {
      this.#keptQuota--;
      return keptNamespace;
    }
    return this.#cleanedNamespaces[random.below(this.#cleanedNamespaces.length)]!;
  }
}

const keptNamespace = "kept";
/** Nx and Metro name no namespace: they have one each. */
const ownedNamespaces: readonly SurfaceName[] = ["nx", "metro"];
