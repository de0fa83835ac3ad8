import type { ByteBudget } from "../../base/budget.ts";
import { artifactKinds } from "../../catalog/kinds.ts";
import { Metrics } from "../../observe/metrics.ts";
import type { NodeStatus } from "../../observe/node-status.ts";
import type { UploadFigures } from "../../store/multipart.ts";
import type { Store, StoreUsage } from "../../store/store.ts";
import { cacheProtocols, unmatched } from "./protocols.ts";

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
  readonly budget: ByteBudget;
  readonly gathering: ByteBudget;
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
  addStoreFigures(metrics, store);
  addUploadFigures(metrics, store);
  return metrics;
}

function addNodeFigures(metrics: Metrics, sources: MetricsSources): void {
  const { status, budget, gathering } = sources;
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
    "Bytes of uploads in memory.",
    () => budget.usedBytes,
  );
  metrics.gauge(
    "kura_upload_memory_capacity_bytes",
    "KURA_UPLOAD_MEMORY_BYTES.",
    () => budget.limitBytes,
  );
  metrics.gauge(
    "kura_upload_memory_waiting",
    "Uploads that wait for memory.",
    () => budget.waiting + gathering.waiting,
  );
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
    ["kura_body_cache_bytes", "Bodies kept in memory.", (usage) => usage.bodyCacheBytes],
    ["kura_metadata_store_wal_bytes", "Write-ahead log of the index.", (usage) => usage.walBytes],
  ];
  const counters: [string, string, (usage: StoreUsage) => number][] = [
    ["kura_store_commits_total", "Changes committed.", (usage) => usage.artifactCommits],
    ["kura_store_commit_groups_total", "Groups, each with one sync.", (usage) => usage.groups],
    ["kura_store_damaged_bodies_total", "Bodies found damaged.", (usage) => usage.damagedBodies],
  ];
  for (const [name, help, read] of gauges) metrics.gauge(name, help, figure(read));
  for (const [name, help, read] of counters) metrics.counter(name, help, figure(read));
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
