import { artifactKinds } from "../../catalog/kinds.ts";
import { addConditionFigures, type StoreSigns } from "../../observe/condition-metrics.ts";
import { addMemoryFigures } from "../../observe/memory-figures.ts";
import { Metrics } from "../../observe/metrics.ts";
import { readFigures } from "../../observe/metrics-grid.ts";
import type { NodeStatus } from "../../observe/node-status.ts";
import type { UploadFigures } from "../../store/multipart.ts";
import type { SpaceFigures } from "../../store/space-figures.ts";
import type { Store, StoreUsage } from "../../store/store.ts";
import { type Ledger, ledgerClassNames } from "../ledger.ts";
import { cacheProtocols, unmatched } from "./protocols.ts";
import { addScrubFigures } from "./scrub-metrics.ts";

/** The probes, whose routes belong to a node and not to the module. */
const probeTemplates = ["/up", "/ready", "/status/rollout", "/status/cluster", "/metrics"];

/** Templates of all routes; a route's place here is its number in the metrics. */
export const routeTemplates: readonly string[] = [
  ...cacheProtocols.flatMap(({ routes }) => routes.map(({ template }) => template)),
  ...probeTemplates,
  unmatched.template,
];

export type MetricsSources = {
  readonly status: NodeStatus;
  readonly ledger: Ledger;
  /** Throws while there is no store. */
  readonly store: () => Store;
};

/** All metrics of a node: what requests count, and the figures that status, budget and store keep. */
export function createHttpMetrics(sources: MetricsSources): Metrics {
  const { status, store } = sources;
  const { tenant, region, version, isInsecure } = status.identity;
  const metrics = new Metrics({
    routes: routeTemplates,
    artifacts: artifactKinds.map((artifact) => ({
      producer: artifact.producer,
      kind: artifact.kind,
      artifact_class: artifact.class,
    })),
    node: { tenant, region, version },
    isInsecure,
  });
  addNodeFigures(metrics, sources);
  addMemoryFigures(metrics, status.memory);
  addStoreFigures(metrics, store);
  addUploadFigures(metrics, store);
  addScrubFigures(metrics, store);
  addConditionFigures(metrics, status, () => signsOf(store));
  return metrics;
}

function addNodeFigures(metrics: Metrics, sources: MetricsSources): void {
  const { status, ledger } = sources;
  metrics.gauge("kura_ready", "1 while /ready answers 200.", () => Number(status.isReady));
  metrics.gauge(
    "kura_http_inflight_requests",
    "Cache requests not yet answered to their end.",
    () => {
      return status.httpInflight;
    },
  );
  metrics.gauge(
    "kura_upload_memory_used_bytes",
    "Bytes that requests hold in memory.",
    ledger.usedBytes,
  );
  metrics.gauge(
    "kura_upload_memory_capacity_bytes",
    "Most bytes that requests hold in memory: three eighths or more of KURA_UPLOAD_MEMORY_BYTES.",
    () => ledger.limitBytes,
  );
  metrics.gauge("kura_upload_memory_waiting", "Requests that wait for memory.", ledger.waiting);
  readFigures(metrics.registry, {
    name: "kura_upload_memory_class_bytes",
    help: "Bytes that requests of a class hold in memory.",
    type: "gauge",
    label: "class",
    values: ledgerClassNames,
    read: (name) => ledger[name].usedBytes,
  });
}

const spaceCounters: [string, string, keyof SpaceFigures][] = [
  ["kura_store_evicted_artifacts_total", "Artifacts that went to make room.", "evictedCount"],
  ["kura_store_evicted_bytes_total", "Their bytes.", "evictedBytes"],
  [
    "kura_store_moved_artifacts_total",
    "Artifacts written again because their file went.",
    "movedCount",
  ],
  ["kura_store_moved_bytes_total", "Their bytes.", "movedBytes"],
  ["kura_leases_shortened_total", "Leases that ended before their time.", "leasesShortened"],
  ["kura_store_space_waits_total", "Writes that had to wait for room.", "spaceWaits"],
];

function spaceOf(field: keyof SpaceFigures): (usage: StoreUsage) => number {
  return ({ space }) => space[field];
}

function addStoreFigures(metrics: Metrics, store: () => Store): void {
  const figure = (read: (usage: StoreUsage) => number) => (): number | null => {
    try {
      return read(store().usage());
    } catch {
      // Not open yet: a line that is absent says so better than a zero.
      return null;
    }
  };
  const gauges: [string, string, (usage: StoreUsage) => number][] = [
    ["kura_store_used_bytes", "Bytes of data files.", (usage) => usage.usedBytes],
    ["kura_store_capacity_bytes", "Most bytes of data files.", (usage) => usage.capacityBytes],
    ["kura_store_free_bytes", "Bytes that the file system has left.", (usage) => usage.freeBytes],
    ["kura_store_segments", "Segment files.", (usage) => usage.segmentCount],
    ["kura_store_large_files", "Bodies in files of their own.", (usage) => usage.largeFileCount],
    ["kura_store_head", "Highest commit number that is visible.", (usage) => usage.head],
    ["kura_store_tombstones", "Scopes that were cleaned.", (usage) => usage.tombstoneCount],
    ["kura_manifest_cache_entries", "Manifests in memory.", (usage) => usage.manifestCacheCount],
    [
      "kura_manifest_cache_capacity_entries",
      "Manifests that fit in memory.",
      (usage) => usage.manifestCacheCountMax,
    ],
    ["kura_store_dead_bytes", "Of the used bytes, files to be unlinked.", spaceOf("deadBytes")],
    ["kura_store_writes_waiting", "Writes that wait for room.", spaceOf("writesWaiting")],
    ["kura_leases", "Artifacts that clients were told of lately.", spaceOf("leaseCount")],
    ["kura_lease_bytes", "Their bytes.", spaceOf("leasedBytes")],
    ["kura_ghosts", "Evicted artifacts that are remembered.", spaceOf("ghostCount")],
    ["kura_body_cache_bytes", "Bodies kept in memory.", (usage) => usage.bodyCacheBytes],
    ["kura_metadata_store_wal_bytes", "Write-ahead log of the index.", (usage) => usage.walBytes],
  ];
  const counters: [string, string, (usage: StoreUsage) => number][] = [
    ["kura_store_commits_total", "Changes committed.", (usage) => usage.artifactCommits],
    ["kura_store_commit_groups_total", "Groups, each with one sync.", (usage) => usage.groups],
    ["kura_store_damaged_bodies_total", "Bodies found damaged.", (usage) => usage.damagedBodies],
  ];
  for (const [name, help, field] of spaceCounters) counters.push([name, help, spaceOf(field)]);
  for (const [name, help, read] of gauges) metrics.gauge(name, help, figure(read));
  for (const [name, help, read] of counters) metrics.counter(name, help, figure(read));
}

function signsOf(store: () => Store): StoreSigns | null {
  try {
    const { stall, stallCount } = store().condition();
    const { at } = store().state();
    return { state: at === "readOnly" ? "read_only" : at, isWedged: stall !== null, stallCount };
  } catch {
    return null;
  }
}

function addUploadFigures(metrics: Metrics, store: () => Store): void {
  const figure = (read: (figures: UploadFigures) => number) => (): number | null => {
    try {
      return read(store().uploads.figures());
    } catch {
      return null;
    }
  };
  metrics.gauge(
    "kura_multipart_uploads_active",
    "Uploads in parts that are open.",
    figure(({ activeCount }) => activeCount),
  );
  metrics.gauge(
    "kura_multipart_part_bytes",
    "Bytes of parts that wait to be completed or removed.",
    figure(({ partBytes }) => partBytes),
  );
}
