import type { ByteBudget } from "../../base/budget.ts";
import type { Clock } from "../../base/clock.ts";
import type { Random } from "../../base/random.ts";
import type { ScopeCache } from "../../catalog/scopes.ts";
import type { Config } from "../../config/table.ts";
import type { Log } from "../../observe/log.ts";
import type { Metrics } from "../../observe/metrics.ts";
import type { NodeStatus } from "../../observe/node-status.ts";
import type { Store } from "../../store/store.ts";
import type { SendFiles } from "../http/send-files.ts";
import type { ReadBuffers } from "./read-buffers.ts";
import type { Uploads } from "./uploads.ts";

/** What the gRPC surface needs from the node. */
export type GrpcSurface = {
  readonly config: Config;
  /** Throws Fault "unavailable" while there is no store yet. */
  readonly store: () => Store;
  readonly status: NodeStatus;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  /** What uploads hold in memory. */
  readonly budget: ByteBudget;
  /** Of it, what bodies hold that are not short. */
  readonly gathering: ByteBudget;
  /** What is read whole: action results, trees, batches. */
  readonly reads: ByteBudget;
  readonly uploads: Uploads;
  /** What encoders and decoders of zstd hold together while they stream. */
  readonly coders: ByteBudget;
  readonly log: Log;
  readonly scopes: ScopeCache;
  readonly files: SendFiles;
  readonly buffers: ReadBuffers;
};
