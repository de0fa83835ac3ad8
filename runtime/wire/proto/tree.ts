import { readDigest, type WireDigest } from "./digest.ts";
import { WireReader } from "./wire-reader.ts";

/** Fields of `Tree`, `Directory` and `FileNode`. @source remote_execution.proto, version 2. */
const treeFields = { root: 1, children: 2 } as const;
const directoryFields = { files: 1 } as const;
const fileFields = { digest: 2 } as const;

/**
 * The contents of all files in a `Tree`, one at a time, so that a large one needs no list and can be read in slices.
 * Its directories stand in the tree itself and are no blobs of their own. Never throws.
 */
export class TreeFiles {
  readonly #reader: WireReader;
  /** Where the tree goes on behind the directory that was entered; null between directories. */
  #outerEndBytes: number | null = null;

  constructor(bytes: Uint8Array) {
    this.#reader = new WireReader(bytes);
  }

  /** The bytes are no tree, or one with a digest that is not well-formed; what was read up to there stands. */
  get isBroken(): boolean {
    return this.#reader.isBroken;
  }

  /** The next file's digest; null at the end. */
  next(): WireDigest | null {
    const reader = this.#reader;
    for (;;) {
      if (this.#outerEndBytes === null && !this.#enterDirectory()) return null;
      while (reader.next()) {
        if (reader.field !== directoryFields.files) {
          reader.passOver();
          continue;
        }
        const digest = readFileNode(reader);
        if (digest !== null) return digest;
      }
      if (this.#outerEndBytes !== null) reader.leave(this.#outerEndBytes);
      this.#outerEndBytes = null;
    }
  }

  #enterDirectory(): boolean {
    const reader = this.#reader;
    while (reader.next()) {
      const { field } = reader;
      if (field === treeFields.root || field === treeFields.children) {
        this.#outerEndBytes = reader.enter();
        return true;
      }
      reader.passOver();
    }
    return false;
  }
}

/** Null for a file without a digest, which is an empty one. */
function readFileNode(reader: WireReader): WireDigest | null {
  let digest: WireDigest | null = null;
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === fileFields.digest) digest = readDigest(reader);
    else reader.passOver();
  }
  reader.leave(outer);
  return digest;
}
