import { AssertionFailure } from "../../base/assert.ts";
import { asFault, Fault } from "../../base/fault.ts";
import { scopesMax, targetCharsMax } from "../../base/limits.ts";
import { RecentMap, ScopeCache } from "../../catalog/scopes.ts";
import { type Method, methods } from "../../observe/metrics.ts";
import type { Scope } from "../../store/identity.ts";
import type { Answer } from "../../wire/http1/answer.ts";
import type { HttpHandler } from "../../wire/http1/connection.ts";
import type { HttpRequest } from "../../wire/http1/request.ts";
import { explain, hangUpWhenLong, jsonAnswer, refuse, refuseMethod } from "./answer.ts";
import { ArtifactHeaders } from "./artifact-headers.ts";
import { BodyWatch } from "./body-watch.ts";
import type { Exchange, HttpDeps, HttpSurface, Protocol, Route } from "./exchange.ts";
import { routeTemplates } from "./http-metrics.ts";
import { createProbes } from "./probes.ts";
import { cacheProtocols, unmatched } from "./protocols.ts";
import { RequestIds } from "./request-id.ts";
import { isTargetTooLong, splitTarget } from "./request-target.ts";

/** The public surface of a node. It never throws and never rejects. */
export function createHttpHandler(deps: HttpDeps): HttpHandler {
  const surface: HttpSurface = {
    ...deps,
    scopes: new ScopeCache(),
    scopesByQuery: new RecentMap<Scope>(scopesMax),
    artifactHeaders: new ArtifactHeaders(deps.config.region),
    bodies: new BodyWatch(deps.clock),
  };
  const router = new Router([...cacheProtocols, createProbes(deps)]);
  const requestIds = new RequestIds(deps.random);

  const begin = (request: HttpRequest): Exchange => {
    const { path, query } = splitTarget(request.target);
    const route = router.find(path);
    if (!route.isProbe) deps.status.httpStarted();
    return {
      surface,
      request,
      route,
      routePlace: router.placeOf(route),
      method: methodOf(request.method),
      path,
      query,
      requestId: requestIds.of(request.headers.get("x-request-id")),
      startMs: deps.clock.monotonicMs(),
      target: null,
      hangsUp: false,
      isCut: false,
      delivery: null,
    };
  };

  return {
    handle: (request) => serve(begin(request)),
    refuse(request, { status, message }) {
      const exchange = begin(request);
      exchange.hangsUp = true;
      return end(exchange, explain(exchange, status, message));
    },
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

function serve(exchange: Exchange): Answer | Promise<Answer> {
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

function operate(exchange: Exchange): Answer | Promise<Answer> {
  const { route, request, surface } = exchange;
  if (isTargetTooLong(request.target)) return refuseTarget(exchange);
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

function refuseUnknown(exchange: Exchange): Answer {
  hangUpWhenLong(exchange);
  return jsonAnswer(exchange, 404, "There is no such route");
}

function refuseTarget(exchange: Exchange): Answer {
  exchange.hangsUp = true;
  const message = `Cannot read the request target: it has more than ${targetCharsMax} characters`;
  return explain(exchange, 414, message);
}

/** Every error becomes an answer, except a broken assertion: that ends the process, which restarts from its files. */
function fail(exchange: Exchange, error: unknown): Answer {
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

function end(exchange: Exchange, answer: Answer): Answer {
  const { surface, route, routePlace, method, startMs } = exchange;
  const durationMs = surface.clock.monotonicMs() - startMs;
  if (!exchange.isCut) surface.metrics.request(routePlace, method, answer.status, durationMs);
  if (!route.isProbe) answer.onEnd = (isDelivered) => book(exchange, isDelivered);
  return answer;
}

/** A request ends when its answer has gone; what was cut off counts no bytes. */
function book({ surface, delivery, target }: Exchange, isDelivered: boolean): void {
  surface.status.httpEnded();
  if (delivery === null) return;
  const { artifact, client, bytes } = delivery;
  const result = isDelivered ? "ok" : "client_aborted";
  surface.metrics.read(artifact, client, result, isDelivered ? bytes : 0);
  if (target !== null) surface.metrics.hit(artifact, target.scope);
}

function methodOf(method: string): Method {
  return methods.find((known) => known === method) ?? "OTHER";
}
