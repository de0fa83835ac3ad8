import type { Clock } from "../base/clock.ts";
import type { Descriptors } from "../base/descriptors.ts";
import type { Disk } from "../base/disk.ts";
import type { LoopSteps } from "../base/loop-steps.ts";
import type { Random } from "../base/random.ts";
import { MiB } from "../base/units.ts";
import type { MemoryPressureView } from "../observe/memory-pressure.ts";
import type { OnDamaged } from "./damage.ts";
import type { FileUser } from "./file-users.ts";
import { segmentBytesFor } from "./format.ts";
import { usualVainLookUpsMin } from "./id-filter.ts";
import type { IndexHome } from "./index.ts";
import type { Maintenance } from "./maintenance.ts";
import type { UploadLimits } from "./multipart.ts";
import { NodeStore } from "./node-store.ts";
import type { Scratch } from "./scratch.ts";
import type { ScrubSettings } from "./scrub.ts";
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
  /** Memory of the leases of what clients were told of; 16 MiB unless told. */
  readonly leaseBytesMax?: number;
  /** Who else keeps data files open; nobody unless told. */
  readonly fileUsers?: readonly FileUser[];
  /** The log may wait for the disk this long before the store counts as wedged; 10 s unless told. */
  readonly stallMsMax?: number;
  /** Bounds of uploads in parts; the usual ones unless told. */
  readonly uploadLimits?: UploadLimits;
  /** What large bodies may have written and not synced before they wait for the disk; 256 MiB unless told. */
  readonly unsyncedBytesMax?: number;
  /** Asked by all that holds memory which it can do without; never short of it unless told. */
  readonly pressure?: MemoryPressureView;
  /** The scrub runs only when it is asked for unless told. */
  readonly scrub?: ScrubSettings;
  /** Fetches a damaged artifact from where it is whole; without it damage is a miss. */
  readonly onDamaged?: OnDamaged;
  /** Data files that are kept open for reading; 64 unless told. */
  readonly readHandlesMax?: number;
  /** What files that take uploads need to be open; without them there is no end to how many are. */
  readonly descriptors?: Descriptors;
  /** Disk space for what is not stored yet; without it there is no end to that. */
  readonly scratch?: Scratch;
  /** Keeps how long maintenance holds the loop; nobody does unless told. */
  readonly steps?: LoopSteps;
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
  /** Pause between two looks at what the store waits for; 0 for none, in simulations. */
  readonly lookMs: number;
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
    startMaintenance: () => new WorkerMaintenance(dataDir, outside.clock),
    nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
    segmentBytesMax: segmentBytesFor(options.capacityBytes),
    vainLookUpsMin: usualVainLookUpsMin,
    ballastBytes: 16 * MiB,
    lookMs: 250,
  });
}
