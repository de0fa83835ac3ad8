/** How the files that this process may have open are divided. Counts. */
export type DescriptorPlan = {
  /** Files that requests may have open, at least 4. */
  readonly requestFiles: number;
  /** Files that the store keeps open for reading. */
  readonly readHandles: number;
  readonly connections: number;
};

export type DescriptorGiven = {
  /** The soft RLIMIT_NOFILE; null where nobody tells it. */
  readonly limit: number | null;
  /** Open before any port or store is. */
  readonly openNow: number;
  /** `KURA_FILE_DESCRIPTOR_POOL_SIZE` and `KURA_SEGMENT_HANDLE_CACHE_SIZE`. */
  readonly poolSize: number;
  readonly handles: number;
};

/**
 * Ports, locks, the index twice with its logs, the segment that is written, the Worker, folders that are synced, and
 * connections that were taken and are closed at once: 20 and some in a node at work, so twice as many.
 */
const ownFiles = 40;
/** A node that serves fewer at one time serves nobody. */
const connectionsMin = 8;
const filesMin = 4;
/** Where there are few, files take at most this part of them: without a connection they are of no use. */
const filesShareMax = 1 / 4;

/** Files come first, because a store without them stands still; what is left is for connections. */
export function planDescriptors(given: DescriptorGiven): DescriptorPlan {
  const { limit, openNow, poolSize, handles } = given;
  if (limit === null) {
    const requestFiles = Math.max(filesMin, poolSize - handles);
    return { requestFiles, readHandles: handles, connections: Number.POSITIVE_INFINITY };
  }
  const pool = Math.max(2 * filesMin, Math.min(poolSize, Math.floor(limit * filesShareMax)));
  const readHandles = Math.min(handles, Math.max(1, Math.floor(pool / 4)));
  const connections = Math.max(connectionsMin, limit - openNow - ownFiles - pool);
  return { requestFiles: Math.max(filesMin, pool - readHandles), readHandles, connections };
}
