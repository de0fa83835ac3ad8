import { asFault, Fault } from "../../base/fault.ts";
import type { Call, GrpcHandler, GrpcMethod } from "../../wire/grpc/method.ts";
import { type GrpcStatus, grpcCodes } from "../../wire/grpc/status.ts";
import { getActionResult, updateActionResult } from "./action-cache.ts";
import { readByteStream } from "./byte-stream-read.ts";
import { writeByteStream } from "./byte-stream-write.ts";
import { getCapabilities } from "./capabilities.ts";
import { batchReadBlobs, batchUpdateBlobs, findMissingBlobs } from "./cas.ts";
import { statusOf } from "./errors.ts";
import { getTree } from "./get-tree.ts";
import { GrpcMetrics } from "./grpc-metrics.ts";
import { checkHealth, watchHealth } from "./health.ts";
import { queryWriteStatus } from "./query-write-status.ts";
import { reflect } from "./reflection.ts";
import type { GrpcSurface } from "./surface.ts";

const reapi = "/build.bazel.remote.execution.v2";
const byteStream = "/google.bytestream.ByteStream";
const health = "/grpc.health.v1.Health";
const reflections = ["v1", "v1alpha"].map(
  (version) => `/grpc.reflection.${version}.ServerReflection`,
);

type Unary = (
  surface: GrpcSurface,
  call: Call,
  request: Uint8Array,
) => Uint8Array | Promise<Uint8Array>;

const unaryMethods: Readonly<Record<string, Unary>> = {
  [`${reapi}.Capabilities/GetCapabilities`]: (surface, _, request) =>
    getCapabilities(surface, request),
  [`${reapi}.ActionCache/GetActionResult`]: getActionResult,
  [`${reapi}.ActionCache/UpdateActionResult`]: updateActionResult,
  [`${reapi}.ContentAddressableStorage/FindMissingBlobs`]: (surface, _, request) =>
    findMissingBlobs(surface, request),
  [`${reapi}.ContentAddressableStorage/BatchUpdateBlobs`]: batchUpdateBlobs,
  [`${reapi}.ContentAddressableStorage/BatchReadBlobs`]: batchReadBlobs,
  [`${byteStream}/QueryWriteStatus`]: (surface, _, request) => queryWriteStatus(surface, request),
  [`${health}/Check`]: (surface, _, request) => checkHealth(surface, services, request),
};

const serverStreamMethods: Readonly<Record<string, typeof readByteStream>> = {
  [`${reapi}.ContentAddressableStorage/GetTree`]: getTree,
  [`${byteStream}/Read`]: readByteStream,
  [`${health}/Watch`]: (surface, call, request, replies) =>
    watchHealth(surface, services, { call, request, replies }),
};

/** Methods that answer in every phase of the node's life, and hold nothing up when it ends. */
const alwaysAnswered: ReadonlySet<string> = new Set([
  ...["Check", "Watch"].map((name) => `${health}/${name}`),
  ...reflections.map((service) => `${service}/ServerReflectionInfo`),
]);

/** Full names of all that is served. */
const services: readonly string[] = [
  ...new Set(
    [...Object.keys(unaryMethods), ...Object.keys(serverStreamMethods), ...alwaysAnswered].map(
      (path) => path.slice(1, path.lastIndexOf("/")),
    ),
  ),
];

/** All methods of the gRPC port. What is not here is UNIMPLEMENTED. */
export function createGrpcHandler(surface: GrpcSurface): GrpcHandler {
  const methods = allMethods(surface);
  const counts = new GrpcMetrics(surface.metrics, [...methods.keys()]);
  const { status, clock } = surface;
  return {
    methods,
    begin(path) {
      const startMs = clock.monotonicMs();
      if (alwaysAnswered.has(path)) {
        return ({ code }) => counts.call(path, code, clock.monotonicMs() - startMs);
      }
      checkPhase(surface);
      status.grpcStarted();
      return ({ code }) => {
        status.grpcEnded();
        counts.call(path, code, clock.monotonicMs() - startMs);
      };
    },
    statusOf(error, path) {
      const status = statusOf(error, surface.random);
      note(surface, { path, status, error });
      return status;
    },
  };
}

function allMethods(surface: GrpcSurface): ReadonlyMap<string, GrpcMethod> {
  const methods = new Map<string, GrpcMethod>();
  for (const [name, run] of Object.entries(unaryMethods)) {
    methods.set(name, { shape: "unary", run: (call, request) => run(surface, call, request) });
  }
  for (const [name, run] of Object.entries(serverStreamMethods)) {
    methods.set(name, {
      shape: "serverStream",
      run: (call, request, replies) => run(surface, call, request, replies),
    });
  }
  methods.set(`${byteStream}/Write`, {
    shape: "clientStream",
    run: (call, incoming) => writeByteStream(surface, call, incoming),
  });
  for (const service of reflections) {
    methods.set(`${service}/ServerReflectionInfo`, {
      shape: "bidi",
      run: (call, incoming, replies) => reflect(services, call, incoming, replies),
    });
  }
  return methods;
}

function checkPhase({ status }: GrpcSurface): void {
  if (status.phase === "draining") {
    throw new Fault("unavailable", "This node is draining: ask another one");
  }
  if (status.phase === "recovering") {
    throw new Fault("unavailable", "This node is recovering its store: try again soon");
  }
}

type Failed = { readonly path: string; readonly status: GrpcStatus; readonly error: unknown };

/** Trouble on our side goes to the log; a drain or a recovery is no news. */
function note({ log }: GrpcSurface, { path, status, error }: Failed): void {
  const fault = asFault(error);
  const isOurs =
    status.code === grpcCodes.internal ||
    (status.code === grpcCodes.unavailable && fault.cause !== undefined);
  if (!isOurs) return;
  log.error("A call failed", { method: path, error: error instanceof Error ? error : fault });
}
