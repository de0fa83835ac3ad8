import { Fault } from "../../../runtime/base/fault.ts";
import { MiB } from "../../../runtime/base/units.ts";
import type { LoadEnd, Verify } from "../load.ts";
import { keysFor, requireTarget, type TargetFlags } from "../options.ts";
import { type GrpcOperation, grpcOperations, isStreamed, streamedSizes } from "./operations.ts";
import { bodyBytesOf } from "./workloads.ts";

/** What the command line of `kura bench grpc` gives; names are commander's. */
export type GrpcBenchFlags = TargetFlags & {
  readonly operations?: readonly GrpcOperation[];
  readonly sizes?: readonly number[];
  readonly concurrency?: number;
  readonly connections: number;
  readonly piece: number;
  readonly keys?: number;
  readonly duration: number;
  readonly requests?: number;
  readonly warmUp: number;
  readonly seed: number;
  readonly rounds: number;
  readonly instance: string;
  readonly header?: readonly string[];
  readonly verify: Verify;
  readonly json?: boolean;
};

/** One measurement: an operation on one size. */
export type GrpcCell = {
  readonly operation: GrpcOperation;
  readonly sizeBytes: number;
  readonly connections: number;
  readonly callsPerConnection: number;
  readonly keys: number;
};

export type GrpcPlan = {
  readonly cells: readonly GrpcCell[];
  readonly rounds: number;
  readonly end: LoadEnd;
  readonly warmUpMs: number;
  readonly seed: number;
  readonly verify: Verify;
  readonly instanceName: string;
  readonly pieceBytes: number;
  readonly headers: readonly string[];
};

/** Results and searches that are asked for in turn; each has ten blobs of its own, or a hundred shared ones. */
const fewKeys = 100;

/** @throws Fault "usage" when flags do not go together. */
export function planGrpcBench(flags: GrpcBenchFlags): GrpcPlan {
  requireTarget(flags);
  const operations = flags.operations ?? grpcOperations;
  const sizes = flags.sizes ?? streamedSizes;
  if (flags.sizes !== undefined && !operations.some(isStreamed)) {
    throw new Fault("usage", "--sizes is for Read and Write: all other calls have one size");
  }
  const cells = operations.flatMap((operation) =>
    (isStreamed(operation) ? sizes : [0]).map((sizeBytes) => planCell(flags, operation, sizeBytes)),
  );
  const { requests } = flags;
  return {
    cells,
    rounds: flags.rounds,
    end:
      requests === undefined
        ? { at: "duration", ms: flags.duration }
        : { at: "requests", count: requests },
    warmUpMs: flags.warmUp,
    seed: flags.seed,
    verify: flags.verify,
    instanceName: flags.instance,
    pieceBytes: flags.piece,
    headers: flags.header ?? [],
  };
}

function planCell(flags: GrpcBenchFlags, operation: GrpcOperation, size: number): GrpcCell {
  const sizeBytes = bodyBytesOf(operation, size);
  const concurrency = flags.concurrency ?? (sizeBytes <= MiB ? 32 : 8);
  const connections = Math.min(flags.connections, concurrency);
  const isFew = operation === "GetActionResult" || operation === "FindMissingBlobs";
  return {
    operation,
    sizeBytes,
    connections,
    callsPerConnection: Math.ceil(concurrency / connections),
    keys: flags.keys ?? (isFew ? fewKeys : keysFor(sizeBytes)),
  };
}
