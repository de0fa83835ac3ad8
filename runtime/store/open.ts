import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Random } from "../base/random.ts";
import { MiB } from "../base/units.ts";
import { segmentBytesMax } from "./format.ts";
import { usualVainLookUpsMin } from "./id-filter.ts";
import type { IndexHome } from "./index.ts";
import type { Maintenance } from "./maintenance.ts";
import type { UploadLimits } from "./multipart.ts";
import { NodeStore } from "./node-store.ts";
import { SqliteHome } from "./sqlite-home.ts";
import { WorkerMaintenance } from "./worker-maintenance.ts";

/** Something that happened in the store, for the log. Names are short and constant, details are plain values. */
export type StoreNote = (event: string, details: Record<string, unknown>) => void;

export type StoreOptions = {
  readonly dataDir: string;
  readonly capacityBytes: number;
  readonly manifestCacheBytesMax: number;
  readonly bodyCacheBytesMax: number;
  /** Page cache of SQLite's writing connection. */
  readonly indexCacheBytes: number;
  /** Size of the index's write-ahead log at which commits wait for a checkpoint, for 50 ms at most. */
  readonly walBytesMax: number;
  /** Bounds of uploads in parts; the usual ones unless told. */
  readonly uploadLimits?: UploadLimits;
  readonly note: StoreNote;
};

/** The outside of a store. */
export type StoreSeams = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly home: IndexHome;
  readonly startMaintenance: () => Maintenance;
  /** Ends one turn of the loop. */
  readonly nextTurn: () => Promise<void>;
  /** Size at which a segment is sealed; tests choose smaller ones. */
  readonly segmentBytesMax: number;
  /** Look-ups in vain before the filter of ids is filled, at least; tests choose fewer. */
  readonly vainLookUpsMin: number;
  /** File that is given up to get out of a full disk; 0 for none. */
  readonly ballastBytes: number;
};

/**
 * Opens the store of a data directory whose lock this process holds. Returns at once in state "recovering";
 * `NodeStore.ready` settles when replay has ended.
 */
export function openStore(
  options: StoreOptions,
  outside: { disk: Disk; clock: Clock; random: Random },
): NodeStore {
  const { dataDir, indexCacheBytes } = options;
  return new NodeStore(options, {
    ...outside,
    home: new SqliteHome({ disk: outside.disk, dataDir, cacheBytes: indexCacheBytes }),
    startMaintenance: () => new WorkerMaintenance(dataDir),
    nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
    segmentBytesMax,
    vainLookUpsMin: usualVainLookUpsMin,
    ballastBytes: 16 * MiB,
  });
}
