import { ByteBudget } from "../base/budget.ts";
import { systemClock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { systemRandom } from "../base/random.ts";
import { realDisk } from "../base/real-disk.ts";
import { MiB } from "../base/units.ts";
import { ScopeCache } from "../catalog/scopes.ts";
import type { LoadedConfig } from "../config/load.ts";
import { isLoopback } from "../config/rows-node.ts";
import type { Config } from "../config/table.ts";
import { createLog, type Log, type LogFields } from "../observe/log.ts";
import { NodeLife } from "../observe/node-status.ts";
import type { UploadLimits } from "../store/multipart.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { createAdminHandler } from "../surface/admin/app.ts";
import { coderBytesMax, gatheredBytesMax } from "../surface/grpc/limits.ts";
import { createGrpcHandler } from "../surface/grpc/methods.ts";
import { ReadBuffers } from "../surface/grpc/read-buffers.ts";
import { Uploads } from "../surface/grpc/uploads.ts";
import { gatheringBytes } from "../surface/http/body-hold.ts";
import { createHttpHandler } from "../surface/http/handler.ts";
import { createHttpMetrics } from "../surface/http/http-metrics.ts";
import { describeNode } from "../surface/http/probes.ts";
import { SendFiles } from "../surface/http/send-files.ts";
import { endOnDefect } from "./defects.ts";
import { GrpcPort } from "./grpc-port.ts";
import { type NodeParts, type OpenedStore, runNode } from "./lifecycle.ts";
import { PublicTls } from "./public-tls.ts";
import type { Signals } from "./signals.ts";

type ComposeInput = {
  /** Without problems. */
  readonly loaded: LoadedConfig;
  readonly version: string;
  readonly signals: Signals;
  /** One text to stdout. */
  readonly print: (text: string) => void;
  /** One line to stderr. */
  readonly printLog: (line: string) => void;
};

/**
 * The one place where the real disk, clock, chance, store and surfaces meet. Resolves when the node has ended.
 * @throws what `runNode` throws.
 */
export async function runComposedNode(input: ComposeInput): Promise<void> {
  const { loaded, version, signals, print, printLog } = input;
  const { config } = loaded;
  const clock = systemClock;
  const log = createLog({
    clock,
    level: config.logLevel,
    repeatWindowMs: config.logRepeatMs,
    write: printLog,
  });
  endOnDefect(log);
  for (const warning of loaded.warnings) log.warn(warning);

  let opened: OpenedStore | null = null;
  const store = (): Store => {
    if (opened === null)
      throw new Fault("unavailable", "The store is not open yet: try again soon");
    return opened.store;
  };
  const life = makeLife(config, version, () => opened?.store ?? null);
  const parts: NodeParts = {
    config,
    version,
    disk: realDisk,
    clock,
    random: systemRandom,
    log,
    life,
    signals,
    print,
    openStore: () => {
      opened = openRealStore(loaded, log);
      return opened;
    },
    ...makeHandlers({ loaded, log, life, store }),
  };
  await runNode(parts);
}

function makeLife(config: Config, version: string, store: () => Store | null): NodeLife {
  const identity = {
    tenant: config.tenant,
    region: config.region,
    nodeUrl: config.nodeUrl,
    version,
    isInsecure: config.insecureNoAuth && !isLoopback(config.bind),
  };
  return new NodeLife(identity, () => {
    const state = store()?.state();
    return state?.at === "recovering" ? state : null;
  });
}

type Behind = {
  readonly loaded: LoadedConfig;
  readonly log: Log;
  readonly life: NodeLife;
  readonly store: () => Store;
};

function makeHandlers({
  loaded,
  log,
  life,
  store,
}: Behind): Pick<NodeParts, "publicHandler" | "publicTls" | "adminHandler" | "grpcPort"> {
  const { config } = loaded;
  const budget = new ByteBudget(config.uploadMemoryBytesMax, systemClock);
  const gathering = new ByteBudget(gatheringBytes(config.uploadMemoryBytesMax), systemClock);
  const metrics = createHttpMetrics({ status: life, budget, gathering, store });
  const common = {
    config,
    store,
    status: life,
    clock: systemClock,
    random: systemRandom,
    metrics,
    budget,
    gathering,
    log,
  };
  const httpDeps = { ...common, disk: realDisk };
  const grpcHandler = createGrpcHandler({
    ...common,
    uploads: new Uploads(systemClock, config.tmpBytesMax / 4),
    coders: new ByteBudget(coderBytesMax, systemClock),
    gathering: new ByteBudget(Math.min(gatheredBytesMax, config.uploadMemoryBytesMax), systemClock),
    scopes: new ScopeCache(),
    files: new SendFiles(realDisk),
    buffers: new ReadBuffers(),
  });
  const up = (): string => JSON.stringify(describeNode(httpDeps));
  const hasCertificate = config.publicTlsCertPath !== "";
  const tlsDeps = { config, disk: realDisk, clock: systemClock, log, metrics };
  return {
    publicHandler: createHttpHandler(httpDeps),
    publicTls: hasCertificate ? new PublicTls(tlsDeps) : null,
    adminHandler: createAdminHandler({ loaded, store, status: life, log }),
    grpcPort: new GrpcPort({ ...tlsDeps, handler: grpcHandler, up }),
  };
}

/** What the caches take of rules that only look at the size of the machine. */
const derivedBytesMax = {
  manifestCacheBytesMax: 8 * MiB,
  bodyCacheBytesMax: 4 * MiB,
  indexReadCacheBytes: 6 * MiB,
} as const;

/**
 * The seed's rules give up to 128 MiB to the index and 64 each to manifests and bodies. A machine that runs builds has
 * better use for them: a cache fills whatever it is given, and the collector lets as much garbage gather as there is
 * live memory (docs/decisions.md has the figures). So only somebody who asks for more gets more.
 */
function cacheBytes(
  { config, sources }: LoadedConfig,
  field: keyof typeof derivedBytesMax,
): number {
  const isDerived = sources[field] === "derived";
  return isDerived ? Math.min(config[field], derivedBytesMax[field]) : config[field];
}

export function uploadLimits(config: Config): UploadLimits {
  return {
    activeMax: config.multipartUploadsMax,
    ttlMs: config.multipartUploadMsMax,
    janitorMs: config.multipartJanitorMs,
    partBytesMax: config.modulePartBytesMax,
    totalBytesMax: config.moduleBytesMax,
    storedBytesMax: config.multipartBytesMax,
  };
}

function openRealStore(loaded: LoadedConfig, log: Log): OpenedStore {
  const { config } = loaded;
  const store = openStore(
    {
      dataDir: config.dataDir,
      capacityBytes: config.capacityBytes,
      manifestCacheBytesMax: cacheBytes(loaded, "manifestCacheBytesMax"),
      bodyCacheBytesMax: cacheBytes(loaded, "bodyCacheBytesMax"),
      indexCacheBytes: cacheBytes(loaded, "indexReadCacheBytes"),
      walBytesMax: config.indexWriteBufferBytes,
      uploadLimits: uploadLimits(config),
      note: (event, details) => noteStore(log, event, details),
    },
    { disk: realDisk, clock: systemClock, random: systemRandom },
  );
  process.on("exit", () => store.endAtOnce());
  return { store, recovered: store.ready };
}

/** What a healthy store tells; everything else that it notes is trouble. */
const calmEvents = [
  "recovered",
  "writing again",
  "aborted uploads removed",
  "uploads expired",
  "uploads reconciled",
];

function noteStore(log: Log, event: string, details: Record<string, unknown>): void {
  const fields: Record<string, LogFields[string]> = {};
  for (const [name, value] of Object.entries(details)) fields[name] = plain(value);
  if (calmEvents.includes(event)) log.info(`store: ${event}`, fields);
  else log.warn(`store: ${event}`, fields);
}

function plain(value: unknown): LogFields[string] {
  if (value === null || value instanceof Error) return value;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
    return value;
  }
  return JSON.stringify(value) ?? "undefined";
}
