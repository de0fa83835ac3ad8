import type { Manifest } from "./store.ts";

/** What a large file must turn out to be. */
export type LargeExpectation = Pick<Manifest, "id" | "sizeBytes" | "digest">;

/**
 * Work that may block for long, away from the loop that serves: the real one is a Worker, the simulated one runs in
 * place. Requests of one kind are answered in order; checkpoints go before checks, checks before sweeps.
 */
export interface Maintenance {
  /** Moves the index's write-ahead log into its database as far as readers allow. Rejects when that fails. */
  checkpoint(): Promise<void>;
  /** Whether a large file is whole: first page, length, digest and every piece. */
  checkLarge(path: string, expected: LargeExpectation): Promise<boolean>;
  /** Numbers among `candidates` that no row of the index names. */
  findUnreferenced(candidates: readonly number[]): Promise<number[]>;
  /** Ids of the index above `after`, in order, at most `limit`, packed 32 bytes each; empty at the end. */
  nextIds(after: Uint8Array, limit: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Writes a file of `sizeBytes` zeros unless it is there already, to be removed when the disk is full. */
  makeBallast(path: string, sizeBytes: number): Promise<void>;
  /** Lets go of the index's files, so that they can be moved aside. */
  releaseIndex(): Promise<void>;
  close(): Promise<void>;
}
