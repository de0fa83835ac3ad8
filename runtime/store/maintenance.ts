import type { Census } from "./census.ts";
import type { RecordPage, RecordRange } from "./record-page.ts";
import type { ScopeName, ScopePlace } from "./scope-names.ts";
import type { DamagedPlace, HitRow } from "./scrub-place.ts";
import type { ScrubRequest, ScrubSlice } from "./scrub-slice.ts";
import type { Manifest } from "./store.ts";

/** What a large file must turn out to be. */
export type LargeExpectation = Pick<Manifest, "id" | "sizeBytes" | "digest">;

/**
 * Work that may block for long, away from the loop that serves: the real one is a Worker, the simulated one runs in
 * place. Requests of one kind are answered in order; checkpoints go before checks, checks before sweeps, and the scrub comes last.
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
  /** Headers of the next records of a segment, away from the loop; none when the file is gone. */
  readRecords(path: string, range: RecordRange): Promise<RecordPage>;
  /** Unlinks a file, which may take long for a large one; nothing happens when there is none. */
  removeFile(path: string): Promise<void>;
  /** Replaces a hint file whole; the payload is not the caller's any more. Not synced: it may be lost. */
  writeHint(path: string, payload: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Counts all rows of the index: seconds of work for a million of them. */
  census(): Promise<Census>;
  /** The names of scopes, in the order of `places`; null where none could be read. */
  nameScopes(places: readonly ScopePlace[]): Promise<(ScopeName | null)[]>;
  /** Writes a file of `sizeBytes` zeros unless it is there already, to be removed when the disk is full. */
  makeBallast(path: string, sizeBytes: number): Promise<void>;
  /** Checks a slice of a data file. */
  scrub(request: ScrubRequest): Promise<ScrubSlice>;
  /** Rows of the index that point into damaged places. */
  findRowsAt(places: readonly DamagedPlace[]): Promise<HitRow[]>;
  /** Since when it owes a sign of life, on the monotonic clock; null when it does not. Asks for one now and then. */
  silentSinceMs(): number | null;
  /** Lets go of the index's files, so that they can be moved aside. */
  releaseIndex(): Promise<void>;
  close(): Promise<void>;
}
