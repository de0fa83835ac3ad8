import type { SimInode } from "./sim-disk-file.ts";

export type SimEntry = SimInode | "folder";

/** Folders by path. */
export type SimTree = Map<string, SimFolder>;

/** Entries of one folder as programs see them, and as the medium has them. */
export class SimFolder {
  readonly entries = new Map<string, SimEntry>();
  readonly #medium = new Map<string, SimEntry>();

  flush(): void {
    this.begin()();
  }

  /** What a sync that starts now makes durable once the returned function is called. */
  begin(): () => void {
    const names = this.unflushedNames();
    const wanted = names.map((name) => [name, this.entries.get(name)] as const);
    return () => {
      for (const [name, entry] of wanted) {
        if (entry === undefined) this.#medium.delete(name);
        else this.#medium.set(name, entry);
      }
    };
  }

  /** An entry that is there and durable. */
  adopt(name: string, entry: SimEntry): void {
    this.entries.set(name, entry);
    this.#medium.set(name, entry);
  }

  /** Names whose entry a power cut may take back. */
  unflushedNames(): string[] {
    const names = new Set([...this.entries.keys(), ...this.#medium.keys()]);
    return [...names].filter((name) => this.entries.get(name) !== this.#medium.get(name));
  }

  /** Entries after a power cut: `isKept` says which changes reached the medium. */
  survivors(isKept: (name: string) => boolean): Map<string, SimEntry> {
    const left = new Map(this.#medium);
    for (const name of this.unflushedNames()) {
      if (!isKept(name)) continue;
      const entry = this.entries.get(name);
      if (entry === undefined) left.delete(name);
      else left.set(name, entry);
    }
    return left;
  }

  usedBytes(): number {
    let used = 0;
    for (const entry of this.entries.values()) used += entry === "folder" ? 0 : entry.sizeBytes;
    return used;
  }
}
