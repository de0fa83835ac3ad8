import { type Clock, systemClock } from "../../runtime/base/clock.ts";
import { Fault } from "../../runtime/base/fault.ts";
import { requireSuccess } from "../node-client.ts";
import { LoadConnection } from "./connection.ts";
import { Contents } from "./contents.ts";
import { type CellResult, describeCell } from "./figures.ts";
import { Load, type LoadEnd } from "./load.ts";
import { observe } from "./measure.ts";
import {
  EachKeyOnce,
  MixedOrder,
  type Operation,
  operationsOf,
  showMix,
  type WriteCounter,
} from "./mix.ts";
import { type BenchPlan, type CellPlan, warmUpEnd } from "./options.ts";
import { makeTemplates } from "./requests.ts";
import { type BodyChecks, type Surprise, Tally } from "./tally.ts";

export type BenchRun = {
  readonly plan: BenchPlan;
  readonly url: string;
  readonly pids: readonly number[];
  readonly signal: AbortSignal;
  /** Called before each cell. */
  readonly tell: (progress: { cell: CellPlan; number: number; count: number }) => void;
  /** Called after each cell. */
  readonly take: (result: CellResult) => void;
};

/** What all cells of a run share. */
type Shared = BenchRun & {
  readonly clock: Clock;
  readonly contents: Contents;
  readonly writes: WriteCounter;
  /** Tells the keys written by this run from those of earlier runs against the same server. */
  readonly run: string;
};

/**
 * Runs all cells, round by round, so that what changes on the machine meanwhile touches every cell alike.
 * @throws Fault "unavailable" when the server is not there, or what its refusal of every request means.
 */
export async function runBench(run: BenchRun): Promise<void> {
  const { plan } = run;
  const shared: Shared = {
    ...run,
    clock: systemClock,
    contents: new Contents(plan.seed),
    writes: { next: 0 },
    run: systemClock.wallMs().toString(36),
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

async function runCell(shared: Shared, cell: CellPlan, round: number): Promise<CellResult> {
  const load = makeLoad(shared, cell);
  try {
    if (round === 1) await fill(shared, cell, load);
    const { plan, signal, clock, pids } = shared;
    const order = new MixedOrder({
      mix: cell.mix,
      keys: cell.keys,
      keyOrder: plan.keyOrder,
      seed: plan.seed + round,
      writes: shared.writes,
    });
    const checks = { compared: 0, different: 0 };
    await warmUp({ shared, cell, load, order, checks });
    const tally = new Tally<Operation>(checks);
    const { seconds, observed } = await observe({ clock, pids }, () =>
      load.run({ order, end: plan.end, tally, verify: plan.verify }, signal),
    );
    requireOneGood(tally, cell);
    const { sizeBytes, connections, keys, mix } = cell;
    return describeCell({
      shape: { sizeBytes, mix: showMix(mix), connections, callsPerConnection: 1, keys },
      operations: operationsOf(mix),
      ...{ round, seconds, tally, checks, observed },
    });
  } finally {
    load.close();
  }
}

type WarmUp = {
  readonly shared: Shared;
  readonly cell: CellPlan;
  readonly load: Load<Operation>;
  readonly order: MixedOrder;
  readonly checks: BodyChecks;
};

/**
 * Reads each key once, then loads as the measurement will: else a short cell would be one of first reads, and more so
 * the slower the server is. Without a warm-up the cell begins as cold as the server is.
 */
async function warmUp({ shared, cell, load, order, checks }: WarmUp): Promise<void> {
  const { plan, signal } = shared;
  const { verify } = plan;
  const end = warmUpEnd(plan);
  if (end === null) return;
  const tally = new Tally<Operation>(checks);
  if ("get" in cell.mix) {
    const once: LoadEnd = { at: "requests", count: cell.keys };
    await load.run({ order: new EachKeyOnce("get"), end: once, tally, verify }, signal);
  }
  await load.run({ order, end, tally, verify }, signal);
  requireOneGood(tally, cell);
}

function makeLoad({ plan, url, contents, clock, run }: Shared, cell: CellPlan): Load<Operation> {
  const { hostname, host, port } = new URL(url);
  const bodyBytes = cell.sizeBytes;
  const { tenant, namespace, headers, seed } = plan;
  const connection = {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port === "" ? 80 : port),
    contents,
    bodyBytes,
    templates: makeTemplates({
      ...plan.addressing,
      host,
      tenant,
      namespace,
      headers,
      seed,
      bodyBytes,
      run,
    }),
  };
  return new Load<Operation>({
    clock,
    url,
    protocol: "HTTP/1.1",
    reads: new Set(["get"]),
    laneCount: cell.connections,
    makeLane: (owner) => new LoadConnection(connection, owner),
  });
}

/** Writes the keys that are going to be read; those of an earlier run with the same seed are there already. */
async function fill(shared: Shared, cell: CellPlan, load: Load<Operation>): Promise<void> {
  if (!("get" in cell.mix) && !("head" in cell.mix)) return;
  const tally = new Tally<Operation>({ compared: 0, different: 0 });
  const end: LoadEnd = { at: "requests", count: cell.keys };
  await load.run({ order: new EachKeyOnce("fill"), end, tally, verify: "none" }, shared.signal);
  if (tally.surprise !== null) throw refused(tally.surprise, cell);
  if (tally.errorCount > 0) {
    const lost = `${tally.errorCount} of ${cell.keys} writes got no answer`;
    throw new Fault("unavailable", `Cannot write the artifacts to be read: ${lost}`);
  }
}

/** A server that refuses everything is not measured: its figures would be those of its refusals. */
function requireOneGood(tally: Tally<Operation>, cell: CellPlan): void {
  if (tally.goodCount > 0) return;
  if (tally.surprise !== null) throw refused(tally.surprise, cell);
  throw new Fault("unavailable", "Cannot load the server: no request got an answer");
}

function refused({ operation, status, text }: Surprise<Operation>, cell: CellPlan): Fault {
  const verb = operation === "put" || operation === "fill" ? "write" : "read";
  const what = `${verb} an artifact of ${cell.sizeBytes} bytes`;
  try {
    requireSuccess({ status, text }, what);
  } catch (error) {
    if (error instanceof Fault) return error;
  }
  return new Fault("internal", `Cannot ${what}: the server answered ${status} to a ${operation}`);
}
