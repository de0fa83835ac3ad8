import { Fault } from "../base/fault.ts";
import type { CommitCounts } from "./commit.ts";
import type { StoreFiles } from "./files.ts";
import type { ManifestCache } from "./manifest-cache.ts";
import type { Running } from "./running.ts";
import type { Space } from "./space.ts";
import type { SpaceFigures } from "./space-figures.ts";
import type { StoreState, StoreUsage } from "./store.ts";

export type UsageSources = {
  /** Null while the store recovers. */
  readonly running: Running | null;
  readonly space: Space;
  readonly files: StoreFiles;
  readonly cache: ManifestCache;
  /** Counts of committers that were replaced. */
  readonly countsBefore: CommitCounts;
  readonly damagedBodies: number;
  readonly eviction: SpaceFigures;
};

export function describeUsage(sources: UsageSources): StoreUsage {
  const { running, space, files, cache, countsBefore, damagedBodies, eviction } = sources;
  const counts = running?.committer.counts ?? { groups: 0, changes: 0 };
  return {
    usedBytes: space.usedBytes,
    capacityBytes: space.capacityBytes,
    freeBytes: space.freeBytes(),
    segmentCount: files.segmentCount,
    largeFileCount: files.largeCount,
    artifactCommits: countsBefore.changes + counts.changes,
    groups: countsBefore.groups + counts.groups,
    head: running?.committer.head ?? 0,
    tombstoneCount: running?.view.tombstones.count ?? 0,
    damagedBodies,
    walBytes: running?.view.index.walBytes() ?? 0,
    manifestCacheCount: cache.count,
    manifestCacheCountMax: cache.capacity,
    bodyCacheBytes: running?.reader.cachedBytes ?? 0,
    space: eviction,
  };
}

/** Why a store in this state does not do what it was asked to. */
export function notServing(state: StoreState): Fault {
  switch (state.at) {
    case "recovering":
      return new Fault("unavailable", "The store is recovering: try again in a moment");
    case "readOnly":
      return new Fault(
        state.isFull ? "full" : "unavailable",
        `The store does not take writes now: ${state.reason}`,
      );
    case "closed":
      return new Fault("unavailable", "The store is closing");
    case "serving":
      return new Fault("unavailable", "The store is not open");
  }
}
