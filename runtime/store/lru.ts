type Entry<V> = { readonly value: V; readonly weight: number; isUsed: boolean };

/** Entries that one `put` passes over at most: when all are in use, it must not take them all into its hands. */
const sparedMax = 64;

/**
 * A bounded map by use, with a second chance: the oldest entry goes first, unless it was asked for since it was last the
 * oldest. A look-up changes no order, so it costs a third of what a list by use costs. Weights are in any one unit.
 */
export class Lru<K, V> {
  readonly #entries = new Map<K, Entry<V>>();
  readonly #weightMax: number;
  readonly #onDrop: (value: V) => void;
  #weight = 0;

  constructor(weightMax: number, onDrop: (value: V) => void = () => {}) {
    this.#weightMax = weightMax;
    this.#onDrop = onDrop;
  }

  get count(): number {
    return this.#entries.size;
  }

  get weight(): number {
    return this.#weight;
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    entry.isUsed = true;
    return entry.value;
  }

  /** Keeps a value, and drops older ones until all weights fit; a value that can never fit is dropped at once. */
  put(key: K, value: V, weight: number): void {
    this.drop(key);
    if (weight > this.#weightMax) {
      this.#onDrop(value);
      return;
    }
    this.#makeRoom(weight);
    this.#entries.set(key, { value, weight, isUsed: false });
    this.#weight += weight;
  }

  #makeRoom(weight: number): void {
    let spared = 0;
    // What is spared comes again later in the same round, without its mark.
    for (const [oldest, entry] of this.#entries) {
      if (this.#weight + weight <= this.#weightMax) return;
      if (entry.isUsed && spared < sparedMax) {
        this.#spare(oldest, entry);
        spared += 1;
      } else this.drop(oldest);
    }
  }

  #spare(key: K, entry: Entry<V>): void {
    entry.isUsed = false;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  drop(key: K): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#weight -= entry.weight;
    this.#onDrop(entry.value);
  }

  clear(): void {
    for (const key of [...this.#entries.keys()]) this.drop(key);
  }
}
