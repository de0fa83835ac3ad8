import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { asFault } from "../base/fault.ts";
import type { LoopSteps } from "../base/loop-steps.ts";
import type { MemoryPressureView } from "../observe/memory-pressure.ts";
import type { MemoryTier } from "../observe/memory-tier.ts";
import { AbsentMemo } from "./absent-memo.ts";
import type { CatalogView } from "./catalog-view.ts";
import { Committer, type CommitterOptions } from "./commit.ts";
import type { StoreFiles } from "./files.ts";
import { fillFilter, IdFilter } from "./id-filter.ts";
import { closeQuietly } from "./index.ts";
import { Journal } from "./journal.ts";
import type { Maintenance } from "./maintenance.ts";
import type { ManifestCache } from "./manifest-cache.ts";
import type { StoreNote } from "./open.ts";
import { Reader, type ReaderOptions } from "./reader.ts";
import type { Recovery } from "./recover.ts";
import type { Space } from "./space.ts";
import type { Manifest } from "./store.ts";
import { Quarantine, Tombstones } from "./tombstones.ts";

/** Everything that exists only between a recovery and the next. */
export type Running = {
  readonly view: CatalogView;
  readonly journal: Journal;
  readonly committer: Committer;
  readonly reader: Reader;
  readonly storeId: Uint8Array;
  /** Ends what the caches do when memory is short. */
  readonly unfollow: () => void;
};

export type RunningParts = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly note: StoreNote;
  readonly files: StoreFiles;
  readonly space: Space;
  readonly cache: ManifestCache;
  readonly segmentBytesMax: number;
  readonly bodyCacheBytesMax: number;
  readonly readHandlesMax?: number;
  readonly manifestCacheBytesMax: number;
  readonly pressure?: MemoryPressureView;
  readonly checkLarge: ReaderOptions["checkLarge"];
  readonly onDamage: (view: CatalogView, manifest: Manifest, isIndexWrong: boolean) => void;
  readonly repairIndex: (
    view: CatalogView,
    batch: Parameters<CommitterOptions["repairIndex"]>[0],
  ) => ReturnType<CommitterOptions["repairIndex"]>;
} & Pick<CommitterOptions, "beforeGroup" | "afterGroup" | "onGarbage" | "stop" | "makeRoom"> &
  Pick<CatalogView, "pointers" | "leases">;

/** The append side of the log at the place where recovery found its end. */
export function continueLog(
  recovery: Recovery,
  parts: Pick<RunningParts, "disk" | "clock" | "dataDir" | "files">,
): Journal {
  const { disk, clock, dataDir, files } = parts;
  const { storeId, tail, burntEnds } = recovery;
  return new Journal({
    disk,
    dataDir,
    files,
    storeId,
    wallMs: () => clock.wallMs(),
    monotonicMs: () => clock.monotonicMs(),
    tail,
    burntEnds,
  });
}

/**
 * Starts the segment that this run of the store writes to, and moves the mark there, so that the next recovery begins
 * here however often the node is started without a write.
 * @throws Fault when the segment cannot be made for any reason but a full disk: that is no reason not to serve, the
 * first group that has room tries again.
 */
export async function startLog(
  recovery: Recovery,
  journal: Journal,
  { files, note }: { files: StoreFiles; note: StoreNote },
): Promise<void> {
  try {
    await journal.startSuccessor();
  } catch (error) {
    const fault = asFault(error);
    if (fault.code !== "full") throw fault;
    note("no room for a segment", { reason: fault.message });
    return;
  }
  const { file, endBytes: offsetBytes, chain } = journal.tail;
  const mark = { ...recovery.mark, file, offsetBytes, chain, fileHigh: files.high };
  try {
    recovery.index.apply({ rows: [], tombstones: [], mark, quarantined: [] });
  } catch (error) {
    note("mark not moved", { reason: asFault(error).message });
  }
}

/** Committer and reader over what a recovery found. */
export function assemble(recovery: Recovery, journal: Journal, parts: RunningParts): Running {
  const { disk, clock, files, space, cache, segmentBytesMax, bodyCacheBytesMax } = parts;
  const { index, mark, storeId } = recovery;
  const tombstones = new Tombstones();
  tombstones.load(recovery.tombstones);
  const quarantine = new Quarantine();
  quarantine.load(recovery.quarantined);
  cache.clear();
  const filter = new IdFilter(parts.manifestCacheBytesMax);
  // An index without rows has no ids to be told; any other is read when that would have paid, see `fillFilterWhenWanted`.
  if (mark.seq === 0) filter.complete();
  const view: CatalogView = {
    cache,
    filter,
    absent: new AbsentMemo(),
    index,
    tombstones,
    quarantine,
    files,
    pointers: parts.pointers,
    leases: parts.leases,
  };
  const committer = new Committer({
    view,
    journal,
    space,
    clock,
    origin: originOf(storeId),
    segmentBytesMax,
    stamps: { seq: mark.seq, version: mark.version },
    beforeGroup: parts.beforeGroup,
    afterGroup: parts.afterGroup,
    onGarbage: parts.onGarbage,
    repairIndex: (batch) => parts.repairIndex(view, batch),
    stop: parts.stop,
    makeRoom: parts.makeRoom,
  });
  const reader = new Reader({
    disk,
    clock,
    files,
    storeId,
    bodyCacheBytesMax,
    handlesMax: parts.readHandlesMax,
    checkLarge: parts.checkLarge,
    onDamage: (manifest, isIndexWrong) => parts.onDamage(view, manifest, isIndexWrong),
  });
  const adapt = (tier: MemoryTier): void => {
    cache.adaptTo(tier);
    reader.adaptTo(tier);
  };
  const unfollow = parts.pressure?.follow(adapt) ?? (() => {});
  return { view, journal, committer, reader, storeId, unfollow };
}

/**
 * Has the filter of ids filled once it would have paid. Until then keys that are not there cost a statement each;
 * nothing else depends on it.
 */
export function fillFilterWhenWanted(
  running: Running,
  options: {
    readonly vainLookUpsMin: number;
    readonly maintenance: () => Maintenance | null;
    readonly note: StoreNote;
    readonly isWanted: () => boolean;
    readonly steps?: LoopSteps;
  },
): void {
  const { vainLookUpsMin, maintenance, note } = options;
  const { filter } = running.view;
  const { head } = running.committer;
  if (head === 0) return;
  filter.whenWanted({ head, vainLookUpsMin }, () => {
    const worker = maintenance();
    if (worker === null) return;
    fillFilter(filter, worker, options).catch((error) => {
      note("filter not filled", { reason: asFault(error).message });
    });
  });
}

export function releaseRunning(running: Running): void {
  running.unfollow();
  running.journal.seal();
  running.reader.close();
  closeQuietly(running.view.index);
}

/** The node's id in versions: the first 48 bits of the store's id. */
function originOf(storeId: Uint8Array): number {
  return Buffer.from(storeId.buffer, storeId.byteOffset, 6).readUIntBE(0, 6);
}
