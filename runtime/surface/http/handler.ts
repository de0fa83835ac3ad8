import { AssertionFailure } from "../../base/assert.ts";
import { asFault, Fault } from "../../base/fault.ts";
import { scopesMax } from "../../base/limits.ts";
import { RecentMap, ScopeCache } from "../../catalog/scopes.ts";
import { type Method, methods } from "../../observe/metrics.ts";
import type { Scope } from "../../store/identity.ts";
import { explain, hangUpWhenLong, jsonAnswer, refuse, refuseMethod } from "./answer.ts";
import { BodyWatch } from "./body-watch.ts";
import { Deliveries } from "./deliveries.ts";
import type { Exchange, HttpDeps, HttpServer, HttpSurface, Protocol, Route } from "./exchange.ts";
import { routeTemplates } from "./http-metrics.ts";
import { createProbes } from "./probes.ts";
import { cacheProtocols, unmatched } from "./protocols.ts";
import { RequestIds } from "./request-id.ts";
import { type Refusal, splitTarget } from "./request-target.ts";

export type HttpHandler = (request: Request, server: HttpServer) => Response | Promise<Response>;

/** The public surface of a node, for `Bun.serve({ fetch })`. It never throws and never rejects. */
export function createHttpHandler(deps: HttpDeps): HttpHandler {
  const surface: HttpSurface = {
    ...deps,
    scopes: new ScopeCache(),
    scopesByQuery: new RecentMap<Scope>(scopesMax),
    deliveries: new Deliveries(deps),
    bodies: new BodyWatch(deps.clock),
    idleSeconds: Math.ceil(deps.config.httpIdleMsMax / 1_000),
  };
  const router = new Router([...cacheProtocols, createProbes(deps)]);
  const requestIds = new RequestIds(deps.random);

  return (request, server) => {
    const startMs = deps.clock.monotonicMs();
    const target = splitTarget(request);
    const { path } = target;
    const query = target.at === "split" ? target.query : "";
    const route = router.find(path);
    const exchange: Exchange = {
      surface,
      request,
      server,
      route,
      routePlace: router.placeOf(route),
      method: methodOf(request.method),
      path,
      query,
      requestId: requestIds.of(request.headers.get("x-request-id")),
      startMs,
      target: null,
      isBodyTaken: false,
      hangsUp: false,
      isCut: false,
      isFollowed: false,
    };
    if (!route.isProbe) deps.status.httpStarted();
    if (target.at === "refused") return end(exchange, refuseTarget(exchange, target));
    return serve(exchange);
  };
}

class Router {
  readonly #protocols: readonly Protocol[];
  readonly #places = new Map<string, number>();

  constructor(protocols: readonly Protocol[]) {
    this.#protocols = protocols;
    for (const [place, template] of routeTemplates.entries()) this.#places.set(template, place);
  }

  find(path: string): Route {
    for (const protocol of this.#protocols) {
      const route = protocol.find(path);
      if (route !== null) return route;
    }
    return unmatched;
  }

  placeOf(route: Route): number {
    return this.#places.get(route.template) ?? routeTemplates.length - 1;
  }
}

function serve(exchange: Exchange): Response | Promise<Response> {
  try {
    const answer = operate(exchange);
    if (!(answer instanceof Promise)) return end(exchange, answer);
    return answer.then(
      (settled) => end(exchange, settled),
      (error) => end(exchange, fail(exchange, error)),
    );
  } catch (error) {
    return end(exchange, fail(exchange, error));
  }
}

function operate(exchange: Exchange): Response | Promise<Response> {
  const { route, request, surface } = exchange;
  if (route === unmatched) return refuseUnknown(exchange);
  const operation = route.operations.get(request.method);
  if (operation === undefined) return refuseMethod(exchange);
  if (!route.isProbe) checkPhase(exchange, surface.status.phase);
  return operation(exchange);
}

function checkPhase(exchange: Exchange, phase: HttpDeps["status"]["phase"]): void {
  if (phase === "draining") {
    exchange.hangsUp = true;
    throw new Fault("unavailable", "This node is draining: ask another one");
  }
  if (phase === "recovering") {
    throw new Fault("unavailable", "This node is recovering its store: try again soon");
  }
}

/**
 * Folders of cache routes, which is what the ids `.` and `..` make of their paths before we see them, and what an
 * empty id looks like.
 */
const idFolders = ["/api/cache/", "/api/metro/", "/v1/"];

function refuseUnknown(exchange: Exchange): Response {
  hangUpWhenLong(exchange);
  if (idFolders.includes(exchange.path)) {
    return jsonAnswer(exchange, 400, "Cannot read the id: it is empty, . or ..");
  }
  return jsonAnswer(exchange, 404, "There is no such route");
}

function refuseTarget(exchange: Exchange, refusal: Refusal): Response {
  exchange.hangsUp = true;
  return explain(exchange, refusal.status, refusal.message);
}

/** Every error becomes an answer, except a broken assertion: that ends the process, which restarts from its files. */
function fail(exchange: Exchange, error: unknown): Response {
  if (error instanceof AssertionFailure) {
    queueMicrotask(() => {
      throw error;
    });
  }
  const fault = asFault(error);
  note(exchange, fault, error);
  return refuse(exchange, fault);
}

function note(exchange: Exchange, fault: Fault, error: unknown): void {
  const { metrics, log } = exchange.surface;
  switch (fault.code) {
    case "clientClosed":
      metrics.exception(exchange.routePlace, "client_aborted");
      return;
    case "timeout":
      metrics.exception(exchange.routePlace, "too_slow");
      return;
    case "outcomeUnknown":
      metrics.exception(exchange.routePlace, "outcome_unknown");
      break;
    case "internal":
    case "damaged":
      metrics.exception(exchange.routePlace, "server_error");
      break;
    case "unavailable":
      // A drain or a recovery is no news; a store that fails has a cause.
      if (fault.cause === undefined) return;
      metrics.exception(exchange.routePlace, "server_error");
      break;
    default:
      return;
  }
  log.error("A request failed", {
    route: exchange.route.template,
    method: exchange.method,
    request_id: exchange.requestId,
    error: error instanceof Error ? error : fault,
  });
}

function end(exchange: Exchange, answer: Response): Response {
  const { surface, routePlace, method, startMs } = exchange;
  const durationMs = surface.clock.monotonicMs() - startMs;
  if (!exchange.isCut) surface.metrics.request(routePlace, method, answer.status, durationMs);
  // A download that goes on is ended by `deliveries`.
  if (!exchange.route.isProbe && !exchange.isFollowed) surface.status.httpEnded();
  return answer;
}

function methodOf(method: string): Method {
  return methods.find((known) => known === method) ?? "OTHER";
}
