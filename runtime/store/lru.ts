/** A bounded map by use: the entry that was not asked for the longest goes first. Weights are in any one unit. */
export class Lru<K, V> {
  readonly #entries = new Map<K, { readonly value: V; readonly weight: number }>();
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
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Keeps a value, and drops older ones until all weights fit; a value that can never fit is dropped at once. */
  put(key: K, value: V, weight: number): void {
    this.drop(key);
    if (weight > this.#weightMax) {
      this.#onDrop(value);
      return;
    }
    this.#entries.set(key, { value, weight });
    this.#weight += weight;
    for (const oldest of this.#entries.keys()) {
      if (this.#weight <= this.#weightMax) return;
      this.drop(oldest);
    }
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
