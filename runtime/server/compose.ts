import { systemClock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { systemRandom } from "../base/random.ts";
import { realDisk } from "../base/real-disk.ts";
import { ScopeCache } from "../catalog/scopes.ts";
import { cacheBytes } from "../config/cache-bytes.ts";
import type { LoadedConfig } from "../config/load.ts";
import { planMemory } from "../config/memory-plan.ts";
import { planRequests } from "../config/request-memory.ts";
import { isLoopback } from "../config/rows-node.ts";
import type { Config } from "../config/table.ts";
import { createLog, type Log, type LogFields } from "../observe/log.ts";
import type { MemoryPressure } from "../observe/memory-pressure.ts";
import { NodeLife, type RecoveryProgress } from "../observe/node-status.ts";
import type { UploadLimits } from "../store/multipart.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { createAdminHandler } from "../surface/admin/app.ts";
import { adaptBlobMemory } from "../surface/grpc/incoming-blob.ts";
import { createGrpcHandler } from "../surface/grpc/methods.ts";
import { ReadBuffers } from "../surface/grpc/read-buffers.ts";
import { Uploads } from "../surface/grpc/uploads.ts";
import { createHttpHandler } from "../surface/http/handler.ts";
import { createHttpMetrics } from "../surface/http/http-metrics.ts";
import { describeNode, upStatus } from "../surface/http/probes.ts";
import { SendFiles } from "../surface/http/send-files.ts";
import { addBoundFigures, type Bounds, makeBounds } from "./bounds.ts";
import { endOnDefect } from "./defects.ts";
import { GrpcPort } from "./grpc-port.ts";
import { type NodeParts, type OpenedStore, runNode } from "./lifecycle.ts";
import { watchOwnMemory } from "./memory-watch.ts";
import { PublicTls } from "./public-tls.ts";
import type { Signals } from "./signals.ts";
import { addStepFigures } from "./step-figures.ts";

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

  const bounds = makeBounds(config, realDisk, clock);
  let opened: OpenedStore | null = null;
  const store = (): Store => {
    if (opened === null)
      throw new Fault("unavailable", "The store is not open yet: try again soon");
    return opened.store;
  };
  const memory = watchOwnMemory({ config, disk: realDisk, clock, log });
  const life = makeLife(config, { version, memory, store: () => opened?.store ?? null });
  const files = new SendFiles({ disk: realDisk, clock, descriptors: bounds.descriptors });
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
      opened = openRealStore(loaded, { log, files, memory, bounds });
      return opened;
    },
    connections: bounds.connections,
    steps: bounds.steps,
    ...makeHandlers({ loaded, log, life, store, files, bounds }),
  };
  await runNode(parts);
}

type LifeParts = {
  readonly version: string;
  readonly memory: MemoryPressure;
  readonly store: () => Store | null;
};

function makeLife(config: Config, { version, memory, store }: LifeParts): NodeLife {
  const identity = {
    tenant: config.tenant,
    region: config.region,
    nodeUrl: config.nodeUrl,
    version,
    isInsecure: config.insecureNoAuth && !isLoopback(config.bind),
  };
  const recoveryNow = (): RecoveryProgress | null => {
    const state = store()?.state();
    return state?.at === "recovering" ? state : null;
  };
  return new NodeLife(identity, recoveryNow, memory);
}

type Behind = {
  readonly loaded: LoadedConfig;
  readonly log: Log;
  readonly life: NodeLife;
  readonly store: () => Store;
  readonly files: SendFiles;
  readonly bounds: Bounds;
};

function makeHandlers({
  loaded,
  log,
  life,
  store,
  files,
  bounds,
}: Behind): Pick<NodeParts, "publicHandler" | "publicTls" | "adminHandler" | "grpcPort"> {
  const { config } = loaded;
  const { ledger, descriptors } = bounds;
  const metrics = createHttpMetrics({ status: life, ledger, store });
  addBoundFigures(metrics, bounds);
  addStepFigures(metrics, bounds.steps);
  const common = {
    config,
    store,
    status: life,
    clock: systemClock,
    random: systemRandom,
    metrics,
    reads: ledger.reads,
    log,
    files,
  };
  const httpDeps = {
    ...common,
    budget: ledger.httpUploads,
    gathering: ledger.httpGathering,
    documents: ledger.documents,
    descriptors,
  };
  const grpcHandler = createGrpcHandler({
    ...common,
    uploads: new Uploads(systemClock, config.tmpBytesMax / 4),
    budget: ledger.grpcUploads,
    gathering: ledger.grpcGathering,
    coders: ledger.coders,
    scopes: new ScopeCache(),
    buffers: makeBuffers(config, life.memory),
  });
  const up = () => ({ status: upStatus(life), text: JSON.stringify(describeNode(httpDeps)) });
  const hasCertificate = config.publicTlsCertPath !== "";
  const tlsDeps = { config, disk: realDisk, clock: systemClock, log, metrics };
  return {
    publicHandler: createHttpHandler(httpDeps),
    publicTls: hasCertificate ? new PublicTls(tlsDeps) : null,
    adminHandler: createAdminHandler({
      loaded,
      store,
      status: life,
      clock: systemClock,
      metrics,
      log,
    }),
    grpcPort: new GrpcPort({ ...tlsDeps, handler: grpcHandler, up, limit: bounds.connections }),
  };
}

/** Buffers of the gRPC port, which give way when memory is short. */
function makeBuffers(config: Config, memory: NodeLife["memory"]): ReadBuffers {
  const buffers = new ReadBuffers(planRequests(config.uploadMemoryBytesMax).answerBytes);
  memory.follow((tier) => {
    buffers.adaptTo(tier);
    adaptBlobMemory(tier);
  });
  return buffers;
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

type StoreParts = {
  readonly log: Log;
  readonly files: SendFiles;
  readonly memory: MemoryPressure;
  readonly bounds: Bounds;
};

function openRealStore(loaded: LoadedConfig, parts: StoreParts): OpenedStore {
  const { log, files, memory, bounds } = parts;
  const { config } = loaded;
  const store = openStore(
    {
      dataDir: config.dataDir,
      capacityBytes: config.capacityBytes,
      manifestCacheBytesMax: cacheBytes(loaded, "manifestCacheBytesMax"),
      bodyCacheBytesMax: cacheBytes(loaded, "bodyCacheBytesMax"),
      indexCacheBytes: cacheBytes(loaded, "indexReadCacheBytes"),
      walBytesMax: config.indexWriteBufferBytes,
      leaseBytesMax: config.leaseBytesMax,
      fileUsers: [files],
      uploadLimits: uploadLimits(config),
      unsyncedBytesMax: planMemory(config.memoryHardBytes).unsyncedBytes,
      pressure: memory,
      scrub: { bytesPerSecond: config.scrubBytesPerSecond, cycleMsMin: config.scrubCycleMsMin },
      stallMsMax: config.storeStallMsMax,
      readHandlesMax: bounds.readHandles,
      descriptors: bounds.descriptors,
      scratch: bounds.scratch,
      steps: bounds.steps,
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
  "answering again",
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
