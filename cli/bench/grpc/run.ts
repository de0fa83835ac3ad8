import { type Clock, systemClock } from "../../../runtime/base/clock.ts";
import { Fault, type FaultCode } from "../../../runtime/base/fault.ts";
import { grpcCodes } from "../../../runtime/wire/grpc/status.ts";
import type { HeaderField } from "../../../runtime/wire/http2/hpack-table.ts";
import { Contents } from "../contents.ts";
import { type CellResult, describeCell } from "../figures.ts";
import { Load, type LoadEnd } from "../load.ts";
import { observe } from "../measure.ts";
import { EachKeyOnce, type RequestOrder, type WriteCounter } from "../mix.ts";
import { warmUpEnd } from "../options.ts";
import { type Surprise, Tally } from "../tally.ts";
import type { ClientOptions } from "./client.ts";
import { Channel, GrpcLane } from "./lane.ts";
import type { GrpcOperation } from "./operations.ts";
import { FreshKeys, RandomKeys } from "./orders.ts";
import type { GrpcCell, GrpcPlan } from "./plan.ts";
import { type Prepared, prepare, type Workload } from "./workloads.ts";

export type GrpcBenchRun = {
  readonly plan: GrpcPlan;
  /** `grpc://` or `http://`, with the port. */
  readonly url: string;
  readonly pids: readonly number[];
  readonly signal: AbortSignal;
  /** Called before each cell. */
  readonly tell: (progress: { cell: GrpcCell; number: number; count: number }) => void;
  /** Called after each cell. */
  readonly take: (result: CellResult) => void;
};

type Shared = GrpcBenchRun & {
  readonly clock: Clock;
  readonly contents: Contents;
  readonly run: string;
  /** Of each cell, over all rounds: what it writes, it writes once. */
  readonly writes: Map<GrpcCell, WriteCounter>;
  /** Of each cell, from the first round on. */
  readonly prepared: Map<GrpcCell, Prepared>;
};

/**
 * Runs all cells, round by round, so that what changes on the machine meanwhile touches every cell alike.
 * @throws Fault "unavailable" when the server is not there, or what its refusal of every call means.
 */
export async function runGrpcBench(run: GrpcBenchRun): Promise<void> {
  const { plan } = run;
  const shared: Shared = {
    ...run,
    clock: systemClock,
    contents: new Contents(plan.seed),
    run: systemClock.wallMs().toString(36),
    writes: new Map(),
    prepared: new Map(),
  };
  const count = plan.rounds * plan.cells.length;
  let number = 0;
  for (let round = 1; round <= plan.rounds; round++) {
    for (const cell of plan.cells) {
      number += 1;
      run.tell({ cell, number, count });
      run.take(await runCell(shared, cell, round));
    }
  }
}

async function runCell(shared: Shared, cell: GrpcCell, round: number): Promise<CellResult> {
  const { measured, fills } = preparedFor(shared, cell);
  if (round === 1) {
    for (const { workload, count } of fills) await fill(shared, cell, { workload, count });
  }
  const { plan, signal, clock, pids } = shared;
  const { verify, end } = plan;
  const { operation, ...rest } = cell;
  const load = makeLoad(shared, cell, measured);
  try {
    const checks = { compared: 0, different: 0 };
    const order = orderOf(shared, cell, round);
    await warmUp({ shared, cell, load, order, checks });
    const tally = new Tally<GrpcOperation>(checks);
    const { seconds, observed } = await observe({ clock, pids }, () =>
      load.run({ order, end, tally, verify }, signal),
    );
    requireOneGood(tally);
    return describeCell({
      shape: { ...rest, mix: operation },
      operations: [operation],
      ...{ round, seconds, tally, checks, observed },
    });
  } finally {
    load.close();
  }
}

function preparedFor(shared: Shared, cell: GrpcCell): Prepared {
  const known = shared.prepared.get(cell);
  if (known !== undefined) return known;
  const { plan, contents, run } = shared;
  const { instanceName, seed, pieceBytes } = plan;
  const { sizeBytes, keys } = cell;
  const options = { contents, instanceName, seed, run, sizeBytes, keys, pieceBytes };
  const made = prepare(cell.operation, options);
  shared.prepared.set(cell, made);
  return made;
}

const writing: ReadonlySet<GrpcOperation> = new Set([
  "BatchUpdateBlobs",
  "UpdateActionResult",
  "Write",
]);

function orderOf(shared: Shared, cell: GrpcCell, round: number): RequestOrder<GrpcOperation> {
  const { operation, keys } = cell;
  if (!writing.has(operation)) return new RandomKeys(operation, keys, shared.plan.seed + round);
  const writes = shared.writes.get(cell) ?? { next: 0 };
  shared.writes.set(cell, writes);
  return new FreshKeys(operation, writes);
}

type WarmUp = {
  readonly shared: Shared;
  readonly cell: GrpcCell;
  readonly load: Load<GrpcOperation>;
  readonly order: RequestOrder<GrpcOperation>;
  readonly checks: { compared: number; different: number };
};

/** Asks for each key once, then loads as the measurement will. Without a warm-up the cell begins as cold as the server is. */
async function warmUp({ shared, cell, load, order, checks }: WarmUp): Promise<void> {
  const { plan, signal } = shared;
  const { verify } = plan;
  const end = warmUpEnd(plan);
  if (end === null) return;
  const tally = new Tally<GrpcOperation>(checks);
  if (!writing.has(cell.operation)) {
    const once: LoadEnd = { at: "requests", count: cell.keys };
    await load.run({ order: new EachKeyOnce(cell.operation), end: once, tally, verify }, signal);
  }
  await load.run({ order, end, tally, verify }, signal);
  requireOneGood(tally);
}

/** Writes what is going to be read; what an earlier run with the same seed has left is there already. */
async function fill(
  shared: Shared,
  cell: GrpcCell,
  { workload, count }: { workload: Workload; count: number },
): Promise<void> {
  const load = makeLoad(shared, cell, workload);
  try {
    const checks = { compared: 0, different: 0 };
    const tally = new Tally<GrpcOperation>(checks);
    const end: LoadEnd = { at: "requests", count };
    const order = new EachKeyOnce(workload.operation);
    await load.run({ order, end, tally, verify: "all" }, shared.signal);
    if (tally.surprise !== null) throw refused(tally.surprise);
    const failed = tally.errorCount + checks.different;
    if (failed > 0) {
      const what = `${failed} of ${count} calls of ${workload.operation} were not answered as they should be`;
      throw new Fault("unavailable", `Cannot write the blobs to be read: ${what}`);
    }
  } finally {
    load.close();
  }
}

function makeLoad(shared: Shared, cell: GrpcCell, workload: Workload): Load<GrpcOperation> {
  const { clock, url } = shared;
  const { connections, callsPerConnection } = cell;
  const options = clientOptions(shared);
  const channels = Array.from({ length: connections }, () => new Channel(options));
  let made = 0;
  return new Load<GrpcOperation>({
    clock,
    url,
    protocol: "gRPC over HTTP/2",
    reads: new Set([workload.operation]),
    laneCount: connections * callsPerConnection,
    makeLane: (owner) => new GrpcLane(workload, channels[made++ % connections]!, owner),
  });
}

function clientOptions({ url, plan }: Shared): ClientOptions {
  const { hostname, host, port } = new URL(url.replace(/^grpc:/, "http:"));
  const fields = plan.headers.map((line): HeaderField => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port === "" ? 80 : port),
    authority: host,
    fields,
  };
}

/** A server that refuses everything is not measured: its figures would be those of its refusals. */
function requireOneGood(tally: Tally<GrpcOperation>): void {
  if (tally.goodCount > 0) return;
  if (tally.surprise !== null) throw refused(tally.surprise);
  throw new Fault("unavailable", "Cannot load the server: no call got an answer");
}

const faultCodes: ReadonlyMap<number, FaultCode> = new Map([
  [grpcCodes.invalidArgument, "badRequest"],
  [grpcCodes.notFound, "missing"],
  [grpcCodes.permissionDenied, "forbidden"],
  [grpcCodes.unauthenticated, "unauthorized"],
  [grpcCodes.resourceExhausted, "overloaded"],
  [grpcCodes.unavailable, "unavailable"],
]);

function refused({ operation, status, text }: Surprise<GrpcOperation>): Fault {
  const code = faultCodes.get(status) ?? "internal";
  const what = `Cannot load the server with ${operation}`;
  return new Fault(code, `${what}: it answered with status ${status} ${text}`.trimEnd());
}
