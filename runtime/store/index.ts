import type { UploadRows } from "./multipart-rows.ts";
import type { Manifest } from "./store.ts";

/** One row of the index: the manifest with what only drains, cleans and feeds ask for. */
export type Row = Manifest & {
  readonly producer: number;
  readonly scopeHash: Uint8Array;
  /** First 8 bytes of SHA-256 of the writer; all zero when none is known. */
  readonly writerHash: Uint8Array;
};

/** A scope emptied at a version: rows of the scope with that version or a lower one are not there. */
export type Tombstone = {
  readonly scopeHash: Uint8Array;
  readonly version: number;
  readonly origin: number;
  readonly seq: number;
};

/** An artifact found damaged: it is a miss until a version above this one replaces it. */
export type Quarantined = { readonly id: Uint8Array; readonly version: number };

/** How far the index has followed the log, and the highest numbers given out until there. */
export type Mark = {
  readonly file: number;
  /** End of the last record that has its row. */
  readonly offsetBytes: number;
  /** CRC of that record's header; of the file header when the file has none yet. */
  readonly chain: number;
  readonly seq: number;
  readonly version: number;
  /** The highest file number given out. */
  readonly fileHigh: number;
};

/** One transaction. Later rows win over earlier ones with the same id. */
export type IndexBatch = {
  readonly rows: readonly Row[];
  readonly tombstones: readonly Tombstone[];
  readonly mark: Mark;
  readonly quarantined: readonly Quarantined[];
};

/** What a row names, but for the file. */
export type EvictedPlace = Pick<Manifest, "id" | "offsetBytes">;

/** Facts of a whole index, set once when it is made. */
export type IndexIdentity = { readonly storeId: Uint8Array };

/**
 * The index over the log: rows by id, in order of seq. Atomic by transaction; a power cut may take back the last
 * transactions, in order, because the log can say them again. Only the committing thread writes.
 * Every method throws Fault "unavailable" on trouble, and "damaged" when the index itself is corrupt.
 */
export interface Index {
  /** Rows of uploads in parts, which no record of the log repeats. */
  readonly uploads: UploadRows;
  /** Null when the index is new. */
  identity(): IndexIdentity | null;
  /** Null when nothing was committed yet. */
  mark(): Mark | null;
  find(id: Uint8Array): Manifest | null;
  /** Rows with a seq above `afterSeq` in seq order, at most `limit`. */
  feed(afterSeq: number, limit: number): Row[];
  tombstones(): Tombstone[];
  quarantined(): Quarantined[];
  /** Makes the index belong to a store and starts its mark, before any batch. */
  adopt(identity: IndexIdentity, mark: Mark): void;
  apply(batch: IndexBatch): void;
  /**
   * Takes away the rows among these that still name their place in `file`, in one transaction; whether each one did.
   * No record says so: whoever reads the log anew finds them again until the file is gone.
   */
  evict(file: number, places: readonly EvictedPlace[]): boolean[];
  /** Bytes waiting in the write-ahead log. */
  walBytes(): number;
  /** Count of rows, deleted ones included; walks the index, for inspection only. */
  countRows(): number;
  /** A clean end leaves no write-ahead log behind. */
  close(): void;
  /** Lets go without a clean end: after trouble, or when another connection has taken over. Never throws. */
  drop(): void;
}

/** Opens the index of a data directory, and sets a bad one aside. */
export interface IndexHome {
  /**
   * @throws Fault "formatTooNew" when a later version of Kura made it, "damaged" when it is no index or shows signs
   * of having been torn apart (older copy under a newer write-ahead log, log gone after a crash, marked suspect).
   */
  open(): Index;
  /**
   * Opens it a second time, beside an index of this process that failed and will be dropped. What only a start can find
   * out, from files that nobody writes to, is not judged again: a checkpoint may be at work.
   * @throws Fault "damaged" when it is no index, marked suspect or gone.
   */
  reopen(): Index;
  /** False when a whole start would have to be a rebuild: there is no index yet. */
  exists(): boolean;
  /** Moves every file of the index aside, so that `open` makes a new one. */
  setAside(): void;
  /** Leaves a durable note that the next start must rebuild. */
  markSuspect(reason: string): void;
}

/** Ends an index that may be broken; what it cannot write any more is in the log. */
export function closeQuietly(index: Index): void {
  try {
    index.close();
  } catch {
    index.drop();
  }
}
