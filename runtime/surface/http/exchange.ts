import type { ByteBudget } from "../../base/budget.ts";
import type { Clock } from "../../base/clock.ts";
import type { Descriptors } from "../../base/descriptors.ts";
import type { Random } from "../../base/random.ts";
import type { RecentMap, ScopeCache } from "../../catalog/scopes.ts";
import type { Target } from "../../catalog/target.ts";
import type { Config } from "../../config/table.ts";
import type { Log } from "../../observe/log.ts";
import type { Method, Metrics } from "../../observe/metrics.ts";
import type { NodeStatus } from "../../observe/node-status.ts";
import type { Scope } from "../../store/identity.ts";
import type { Store } from "../../store/store.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import type { HttpRequest } from "../../wire/http1/request.ts";
import type { ArtifactHeaders } from "./artifact-headers.ts";
import type { BodyWatch } from "./body-watch.ts";
import type { SendFiles } from "./send-files.ts";

/** What the surface needs from the node. */
export type HttpDeps = {
  readonly config: Config;
  /** Throws Fault "unavailable" while there is no store yet. */
  readonly store: () => Store;
  readonly status: NodeStatus;
  readonly clock: Clock;
  /** The files whose bytes go out by the kernel. */
  readonly files: SendFiles;
  readonly random: Random;
  readonly metrics: Metrics;
  /** What bodies hold in memory. */
  readonly budget: ByteBudget;
  /** Of it, what bodies of more than `waitingBodyBytesMax` hold. */
  readonly gathering: ByteBudget;
  /** What bodies hold that are parsed in memory. */
  readonly documents: ByteBudget;
  /** What files need to be open. */
  readonly descriptors: Descriptors;
  /** What is read whole to be looked through. */
  readonly reads: ByteBudget;
  readonly log: Log;
};

/** One surface with all that its requests share. */
export type HttpSurface = HttpDeps & {
  readonly scopes: ScopeCache;
  /** Scopes by raw query: a build sends the same few texts thousands of times. */
  readonly scopesByQuery: RecentMap<Scope>;
  readonly artifactHeaders: ArtifactHeaders;
  readonly bodies: BodyWatch;
};

export type Operation = (exchange: Exchange) => Answer | Promise<Answer>;

/** One template with what may be done to it. */
export type Route = {
  /** Label in the metrics: never the raw path. */
  readonly template: string;
  readonly operations: ReadonlyMap<string, Operation>;
  /** How refusals are written. `nx` and `metro` hide trouble from clients that would fail their builds over it. */
  readonly form: "json" | "nx" | "metro";
  /** Probes are answered while draining and are not counted as in flight. */
  readonly isProbe: boolean;
};

/** One dialect of cache clients: a file of its own, listed in `protocols.ts`. */
export type Protocol = {
  readonly routes: readonly Route[];
  /**
   * The route of a path, or null when the path is not one of this protocol. All that follows the prefix of a route with
   * one id is the id: one with a slash in it is a bad request and no other route.
   */
  readonly find: (path: string) => Route | null;
};

/** One request on its way. */
export type Exchange = {
  readonly surface: HttpSurface;
  readonly request: HttpRequest;
  readonly route: Route;
  /** Place of the route in the metrics. */
  readonly routePlace: number;
  readonly method: Method;
  /** Not decoded. */
  readonly path: string;
  /** Not decoded, without its question mark. */
  readonly query: string;
  readonly requestId: string;
  readonly startMs: number;
  target: Target | null;
  /** The answer ends the connection. */
  hangsUp: boolean;
  /** The connection is cut without a status. */
  isCut: boolean;
  /** What is booked when the answer has gone, for downloads. */
  delivery: Delivery | null;
};

/** A download: its bytes count only once they were delivered in full. */
export type Delivery = {
  readonly artifact: number;
  readonly client: number;
  readonly bytes: number;
};

export function defineRoute(
  template: string,
  operations: Readonly<Record<string, Operation>>,
  options: { form?: Route["form"]; isProbe?: boolean } = {},
): Route {
  const { form = "json", isProbe = false } = options;
  return { template, operations: new Map(Object.entries(operations)), form, isProbe };
}
