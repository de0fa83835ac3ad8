import type { Server } from "bun";
import type { ByteBudget } from "../../base/budget.ts";
import type { Clock } from "../../base/clock.ts";
import type { Random } from "../../base/random.ts";
import type { RecentMap, ScopeCache } from "../../catalog/scopes.ts";
import type { Target } from "../../catalog/target.ts";
import type { Config } from "../../config/table.ts";
import type { Log } from "../../observe/log.ts";
import type { Method, Metrics } from "../../observe/metrics.ts";
import type { NodeStatus } from "../../observe/node-status.ts";
import type { Scope } from "../../store/identity.ts";
import type { Store } from "../../store/store.ts";
import type { BodyWatch } from "./body-watch.ts";
import type { Deliveries } from "./deliveries.ts";

/** What the surface needs from the node. */
export type HttpDeps = {
  readonly config: Config;
  /** Throws Fault "unavailable" while there is no store yet. */
  readonly store: () => Store;
  readonly status: NodeStatus;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly budget: ByteBudget;
  readonly log: Log;
};

/** The part of Bun's server that the surface uses. */
export type HttpServer = Pick<Server<undefined>, "requestIP" | "timeout">;

/** One surface with all that its requests share. */
export type HttpSurface = HttpDeps & {
  readonly scopes: ScopeCache;
  /** Scopes by raw query: a build sends the same few texts thousands of times. */
  readonly scopesByQuery: RecentMap<Scope>;
  readonly deliveries: Deliveries;
  readonly bodies: BodyWatch;
  /** The limit for silent connections, given back to a connection that was freed from it for a while. */
  readonly idleSeconds: number;
};

export type Operation = (exchange: Exchange) => Response | Promise<Response>;

/** One template with what may be done to it. */
export type Route = {
  /** Label in the metrics: never the raw path. */
  readonly template: string;
  readonly operations: ReadonlyMap<string, Operation>;
  /** How refusals are written. `nx` hides trouble from a client that would fail its build over it. */
  readonly form: "json" | "nx";
  /** Probes are answered while draining and are not counted as in flight. */
  readonly isProbe: boolean;
};

/** One dialect of cache clients: a file of its own, listed in `protocols.ts`. */
export type Protocol = {
  readonly routes: readonly Route[];
  /**
   * The route of a path, or null when the path is not one of this protocol. All that follows the prefix of a route with
   * one id is the id: Bun makes a slash of a backslash (measured on 1.4.5), and an id with either is a bad request.
   */
  readonly find: (path: string) => Route | null;
};

/** One request on its way. */
export type Exchange = {
  readonly surface: HttpSurface;
  readonly request: Request;
  readonly server: HttpServer;
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
  /** The body was read to its end, so nothing is left for Bun to drain. */
  isBodyTaken: boolean;
  /** The answer ends the connection. */
  hangsUp: boolean;
  /** The connection is cut without a status. */
  isCut: boolean;
  /** The download goes on after the answer was made; `deliveries` ends the request. */
  isFollowed: boolean;
};

export function defineRoute(
  template: string,
  operations: Readonly<Record<string, Operation>>,
  options: { form?: "json" | "nx"; isProbe?: boolean } = {},
): Route {
  const { form = "json", isProbe = false } = options;
  return { template, operations: new Map(Object.entries(operations)), form, isProbe };
}
