/** Why an artifact is not there. */
export type MissReason = "never_written" | "evicted" | "cleaned" | "corrupt";

/** How the store keeps within its capacity; counts since the start of the process. */
export type SpaceFigures = {
  readonly evictedCount: number;
  readonly evictedBytes: number;
  /** Artifacts written again at the end of the log because their file went. */
  readonly movedCount: number;
  readonly movedBytes: number;
  /** Leases now, and what they hold. */
  readonly leaseCount: number;
  readonly leasedBytes: number;
  readonly leasesShortened: number;
  /** Evicted artifacts that are remembered. */
  readonly ghostCount: number;
  /** Bytes of files that wait to be unlinked; they count as used. */
  readonly deadBytes: number;
  readonly writesWaiting: number;
  /** Writes that had to wait for room. */
  readonly spaceWaits: number;
};

/** A file that would go next to make room. */
export type NextToGo = {
  readonly file: number;
  readonly isLarge: boolean;
  readonly sizeBytes: number;
  /** Of it, what is of no use any more. */
  readonly garbageBytes: number;
};
