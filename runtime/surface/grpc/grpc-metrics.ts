import { assert } from "../../base/assert.ts";
import type { Metrics } from "../../observe/metrics.ts";
import { axis, CounterGrid, DurationGrid } from "../../observe/metrics-grid.ts";
import { type GrpcCode, grpcCodes } from "../../wire/grpc/status.ts";

/** Calls by method and status. @source surfaces.md 10 for the names. */
export class GrpcMetrics {
  readonly #places: ReadonlyMap<string, number>;
  readonly #calls: CounterGrid;
  readonly #durations: DurationGrid;

  /** `methods`: paths of all methods, known before the first call. */
  constructor({ registry }: Metrics, methods: readonly string[]) {
    this.#places = new Map(methods.map((path, place) => [path, place]));
    const method = axis(
      "method",
      methods.map((path) => path.slice(1)),
    );
    this.#calls = new CounterGrid(registry, {
      name: "kura_grpc_requests_total",
      help: "gRPC calls answered.",
      axes: [method, axis("code", Object.keys(grpcCodes).map(upperSnake))],
    });
    this.#durations = new DurationGrid(registry, {
      name: "kura_grpc_request_duration_seconds",
      help: "Time from a call's headers to its status.",
      axis: method,
    });
  }

  call(path: string, code: GrpcCode, durationMs: number): void {
    const place = this.#places.get(path);
    assert(place !== undefined, "only known methods are called");
    this.#calls.add(place, code, 0, 1);
    this.#durations.add(place, durationMs);
  }
}

/** `notFound` as NOT_FOUND: the names that gRPC's own tools show. */
function upperSnake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
