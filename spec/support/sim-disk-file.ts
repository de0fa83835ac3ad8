/** What survives a power cut, piece by piece. All answers must come from a seed or an enumeration. */
export type Survival = {
  /** Whether an unflushed block of a file reached the medium, or only its first `torn` bytes. */
  block(path: string, block: number): "kept" | "lost" | { readonly torn: number };
  /** Whether a change of a folder's entry did. */
  entry(folder: string, name: string): boolean;
  /** Whether an unflushed size did, also where its blocks did not: they read as zeros then. */
  size(path: string): boolean;
};

/** What one sync has to write: blocks as they were when it began. */
export type SimSync = {
  readonly blocks: ReadonlyMap<number, Uint8Array>;
};

/**
 * One file: what programs see (the page cache) and what the medium holds. Blocks differ between the two while they are
 * `dirty`, and stay different when a sync fails: such `stale` blocks are clean in the eyes of the system, so no later
 * sync writes them (as Linux does it).
 */
export class SimInode {
  readonly blockBytes: number;
  #cache = new Uint8Array(0);
  #medium = new Uint8Array(0);
  #sizeBytes = 0;
  #mediumBytes = 0;
  readonly #dirty = new Set<number>();
  readonly #stale = new Set<number>();
  readonly #flushing = new Set<number>();

  constructor(blockBytes: number) {
    this.blockBytes = blockBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Blocks whose content a power cut may take. */
  unflushedBlocks(): number[] {
    return [...new Set([...this.#dirty, ...this.#flushing, ...this.#stale])].sort((a, b) => a - b);
  }

  get sizeIsUnflushed(): boolean {
    return this.#sizeBytes !== this.#mediumBytes;
  }

  read(into: Uint8Array, atBytes: number): number {
    const end = Math.min(this.#sizeBytes, atBytes + into.length);
    if (end <= atBytes) return 0;
    into.set(this.#cache.subarray(atBytes, end));
    return end - atBytes;
  }

  write(bytes: Uint8Array, atBytes: number): void {
    if (bytes.length === 0) return;
    const end = atBytes + bytes.length;
    this.#cache = grown(this.#cache, end);
    this.#cache.set(bytes, atBytes);
    const last = Math.floor((end - 1) / this.blockBytes);
    for (let block = Math.floor(atBytes / this.blockBytes); block <= last; block++) {
      this.#dirty.add(block);
      this.#stale.delete(block);
    }
    this.#sizeBytes = Math.max(this.#sizeBytes, end);
  }

  /** Starts a sync: it writes what is dirty now, as it is now. */
  beginSync(): SimSync {
    const blocks = new Map<number, Uint8Array>();
    for (const block of this.#dirty) {
      const start = block * this.blockBytes;
      const end = Math.min(start + this.blockBytes, this.#sizeBytes);
      blocks.set(block, this.#cache.slice(start, end));
      this.#flushing.add(block);
    }
    this.#dirty.clear();
    return { blocks };
  }

  endSync(begun: SimSync): void {
    for (const [block, bytes] of begun.blocks) {
      const start = block * this.blockBytes;
      this.#medium = grown(this.#medium, start + bytes.length);
      this.#medium.set(bytes, start);
      // A block that is written beyond the end of the file takes the end along.
      this.#mediumBytes = Math.max(this.#mediumBytes, start + bytes.length);
      this.#flushing.delete(block);
    }
  }

  /** The system gave up on these pages: they look written and are not. */
  failSync(begun: SimSync): void {
    for (const block of begun.blocks.keys()) {
      this.#flushing.delete(block);
      if (!this.#dirty.has(block)) this.#stale.add(block);
    }
  }

  /** The file as found after a power cut: what is left is flushed. */
  survivor(path: string, survival: Survival): SimInode {
    const left = new SimInode(this.blockBytes);
    left.#medium = this.#medium.slice(0, this.#mediumBytes);
    left.#mediumBytes = this.#mediumBytes;
    for (const block of this.unflushedBlocks()) {
      const fate = survival.block(path, block);
      if (fate === "lost") continue;
      const keptBytes = fate === "kept" ? this.blockBytes : fate.torn;
      left.#takeBlock(this, block, keptBytes);
    }
    if (this.sizeIsUnflushed && survival.size(path)) {
      left.#mediumBytes = Math.max(left.#mediumBytes, this.#sizeBytes);
      left.#medium = grown(left.#medium, left.#mediumBytes);
    }
    left.#cache = left.#medium.slice();
    left.#sizeBytes = left.#mediumBytes;
    return left;
  }

  #takeBlock(from: SimInode, block: number, lengthBytes: number): void {
    const start = block * this.blockBytes;
    const end = Math.min(start + lengthBytes, from.#sizeBytes);
    if (end <= start) return;
    this.#medium = grown(this.#medium, end);
    this.#medium.set(from.#cache.subarray(start, end), start);
    this.#mediumBytes = Math.max(this.#mediumBytes, end);
  }
}

function grown(bytes: Uint8Array<ArrayBuffer>, lengthBytes: number): Uint8Array<ArrayBuffer> {
  if (lengthBytes <= bytes.length) return bytes;
  const larger = new Uint8Array(Math.max(lengthBytes, bytes.length * 2, 4_096));
  larger.set(bytes);
  return larger;
}
