import { Registry } from "prom-client";
import { assert } from "../base/assert.ts";
import { clients } from "./metrics-client.ts";
import {
  axis,
  CounterGrid,
  constantFigure,
  DurationGrid,
  type Labels,
  readFigure,
  type States,
  stateFigures,
} from "./metrics-grid.ts";
import { type MissReason, missReasons, PointerReads, type ReadScope } from "./pointer-reads.ts";

/** Methods as labels; whatever else comes is OTHER. */
export const methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "OTHER"] as const;
export type Method = (typeof methods)[number];

/** How a transfer ended. @source surfaces.md 10 for the names; `exists`, `shed`, `rejected` and `incomplete` are ours. */
export const results = [
  "ok",
  "exists",
  "not_found",
  "incomplete",
  "range_not_satisfiable",
  "too_large",
  "rejected",
  "client_aborted",
  "shed",
  "error",
] as const;
export type Result = (typeof results)[number];

/** Why a request failed on our side or broke off. */
export const exceptions = [
  "server_error",
  "client_aborted",
  "too_slow",
  "outcome_unknown",
] as const;
export type Exception = (typeof exceptions)[number];

/** Why Nx was told "miss" or "read-only" instead of the truth, which would have failed its build. */
export const nxTroubles = [
  "overloaded",
  "full",
  "unavailable",
  "too_large",
  "too_slow",
  "fault",
] as const;
export type NxTrouble = (typeof nxTroubles)[number];

/** What Turborepo tells about its use of the cache, in its own words. */
export const turborepoSources = ["LOCAL", "REMOTE"] as const;
export type TurborepoSource = (typeof turborepoSources)[number];
export const turborepoOutcomes = ["HIT", "MISS"] as const;
export type TurborepoOutcome = (typeof turborepoOutcomes)[number];

/** Labels of what an artifact is, in the order that the surface numbers them. */
export type ArtifactLabels = {
  readonly producer: string;
  readonly kind: string;
  readonly artifact_class: string;
};

export type MetricsOptions = {
  /** Templates of routes, never raw paths; a route is known by its place here. */
  readonly routes: readonly string[];
  readonly artifacts: readonly ArtifactLabels[];
  readonly node: { readonly tenant: string; readonly region: string; readonly version: string };
  readonly isInsecure: boolean;
};

const statusMin = 100;
const statusMax = 599;
const nxMethods = ["GET", "PUT"] as const;

/** All families of the node. Everything a request counts is one addition in an array. */
export class Metrics {
  readonly registry = new Registry();
  /** Hits and misses of pointers by scope. */
  readonly pointerReads = new PointerReads();
  readonly #requests: CounterGrid;
  readonly #durations: DurationGrid;
  readonly #exceptions: CounterGrid;
  readonly #reads: CounterGrid;
  readonly #readBytes: CounterGrid;
  readonly #writes: CounterGrid;
  readonly #writeBytes: CounterGrid;
  readonly #pointerMisses: CounterGrid;
  /** 1 for the kinds that are pointers, by place. */
  readonly #arePointers: Uint8Array;
  readonly #nxTroubles = new CounterGrid(this.registry, {
    name: "kura_nx_softened_total",
    help: "Troubles that Nx was told as a miss or as read-only.",
    axes: [axis("method", nxMethods), axis("reason", nxTroubles)],
  });
  readonly #metroTroubles = new CounterGrid(this.registry, {
    name: "kura_metro_softened_total",
    help: "Troubles that Metro was told as a miss.",
    axes: [axis("reason", nxTroubles)],
  });
  readonly #turborepoEvents = new CounterGrid(this.registry, {
    name: "kura_turborepo_events_total",
    help: "Hits and misses as Turborepo reports them; those of its local cache reach us only this way.",
    axes: [axis("source", turborepoSources), axis("event", turborepoOutcomes)],
  });
  readonly #parts = new CounterGrid(this.registry, {
    name: "kura_multipart_parts_total",
    help: "Parts of uploads.",
    axes: [axis("result", results)],
  });

  constructor({ routes, artifacts, node, isInsecure }: MetricsOptions) {
    const registry = this.registry;
    const [route, result] = [axis("route", routes), axis("result", results)];
    const statuses = Array.from({ length: statusMax - statusMin + 1 }, (_, i) =>
      String(statusMin + i),
    );
    const grid = (name: string, help: string, axes: CounterGridAxes): CounterGrid =>
      new CounterGrid(registry, { name, help, axes });
    this.#requests = grid("kura_http_requests_total", "HTTP requests answered.", [
      route,
      axis("method", methods),
      axis("status", statuses),
    ]);
    this.#durations = new DurationGrid(registry, {
      name: "kura_http_request_duration_seconds",
      help: "Time from the request's headers to its answer; the transfer of the answer is not in it.",
      axis: route,
    });
    this.#exceptions = grid("kura_http_exceptions_total", "HTTP requests that broke off.", [
      route,
      axis("kind", exceptions),
    ]);
    const transfer: CounterGridAxes = [
      artifacts.map((labels): Labels => ({ ...labels })),
      axis("client", clients),
      result,
    ];
    this.#reads = grid("kura_artifact_reads_total", "Downloads, counted at their end.", transfer);
    this.#readBytes = grid(
      "kura_artifact_read_bytes_total",
      "Bytes of downloads that were handed to the network in full.",
      transfer,
    );
    this.#writes = grid("kura_artifact_writes_total", "Uploads.", transfer);
    this.#writeBytes = grid(
      "kura_artifact_write_bytes_total",
      "Bytes that uploads stored.",
      transfer,
    );
    this.#pointerMisses = grid(
      "kura_pointer_misses_total",
      "Downloads of pointers that were not found, by why. Those found are in kura_artifact_reads_total.",
      [transfer[0], axis("client", clients), axis("reason", missReasons)],
    );
    this.#arePointers = Uint8Array.from(artifacts, ({ artifact_class }) =>
      Number(artifact_class === "pointer"),
    );
    constantFigure(registry, {
      name: "kura_node_info",
      help: "Who this node is.",
      labels: { tenant_id: node.tenant, region: node.region, version: node.version },
    });
    this.gauge("kura_insecure_no_auth", "1 while anybody may use the public ports unasked.", () =>
      isInsecure ? 1 : 0,
    );
  }

  request(route: number, method: Method, status: number, durationMs: number): void {
    assert(status >= statusMin && status <= statusMax, "a status has three digits");
    this.#requests.add(route, methods.indexOf(method), status - statusMin, 1);
    this.#durations.add(route, durationMs);
  }

  exception(route: number, kind: Exception): void {
    this.#exceptions.add(route, exceptions.indexOf(kind), 0, 1);
  }

  read(artifact: number, client: number, result: Result, bytes: number): void {
    const place = results.indexOf(result);
    this.#reads.add(artifact, client, place, 1);
    this.#readBytes.add(artifact, client, place, bytes);
  }

  /** A download was found; only those of pointers count. */
  hit(artifact: number, scope: ReadScope): void {
    if (this.#arePointers[artifact] === 1) this.pointerReads.hit(artifact, scope);
  }

  /** A download of a pointer was not found. */
  pointerMiss(artifact: number, client: number, scope: ReadScope, reason: MissReason): void {
    this.#pointerMisses.add(artifact, client, missReasons.indexOf(reason), 1);
    this.pointerReads.miss(artifact, scope, reason);
  }

  write(artifact: number, client: number, result: Result, bytes: number): void {
    const place = results.indexOf(result);
    this.#writes.add(artifact, client, place, 1);
    this.#writeBytes.add(artifact, client, place, bytes);
  }

  nxSoftened(method: "GET" | "PUT", reason: NxTrouble): void {
    this.#nxTroubles.add(nxMethods.indexOf(method), nxTroubles.indexOf(reason), 0, 1);
  }

  metroSoftened(reason: NxTrouble): void {
    this.#metroTroubles.add(nxTroubles.indexOf(reason), 0, 0, 1);
  }

  part(result: Result): void {
    this.#parts.add(results.indexOf(result), 0, 0, 1);
  }

  turborepoEvent(source: TurborepoSource, outcome: TurborepoOutcome): void {
    const [row, column] = [turborepoSources.indexOf(source), turborepoOutcomes.indexOf(outcome)];
    this.#turborepoEvents.add(row, column, 0, 1);
  }

  /** `read` returns null while the figure is not known. */
  gauge(name: string, help: string, read: () => number | null): void {
    readFigure(this.registry, { name, help, type: "gauge", read });
  }

  /** One line for each value: 1 while it is on, else 0. */
  states<Value extends string>(name: string, help: string, options: States<Value>): void {
    stateFigures(this.registry, { name, help, ...options });
  }

  counter(name: string, help: string, read: () => number | null): void {
    readFigure(this.registry, { name, help, type: "counter", read });
  }

  /** The exposition, text format 0.0.4. */
  render(): Promise<string> {
    return this.registry.metrics();
  }
}

type CounterGridAxes = ConstructorParameters<typeof CounterGrid>[1]["axes"];

/** @source Prometheus text exposition format 0.0.4. */
export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8";
