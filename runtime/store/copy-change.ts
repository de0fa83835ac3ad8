import type { RecordHeader } from "./record.ts";
import type { Change } from "./store.ts";

/**
 * A record that is written once more, at the end of the log, because the file that it lies in will go: the same artifact
 * with the same seq, version and origin. Nothing happens unless it is still what counts under the committer.
 */
export type CopyChange = {
  readonly op: "copy";
  /** As found in the file; the offset is its place there. */
  readonly header: RecordHeader;
  /** Encoded, as found. */
  readonly metadata: Uint8Array;
  /** Empty for all types but put. */
  readonly body: Uint8Array;
  readonly fromFile: number;
  /** File of the body of a reference; 0 for all other types. */
  readonly placeFile: number;
  readonly scopeHash: Uint8Array;
  readonly writerHash: Uint8Array;
};

/** What the committer takes: what clients ask for, and what the store asks of itself. */
export type CommitChange = Change | CopyChange;
