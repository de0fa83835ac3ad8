import type { Observed } from "./measure.ts";
import type { BodyChecks, OperationTally, Tally } from "./tally.ts";

/** One operation of one cell. */
export type OperationResult = {
  readonly operation: string;
  /** Good answers. */
  readonly answers: number;
  readonly answersPerSecond: number;
  /** Bodies of good answers, in millions of bytes. */
  readonly megabytesPerSecond: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly p999Ms: number | null;
  readonly maxMs: number;
  /** By status, or by the way that requests were lost. */
  readonly errors: Readonly<Record<string, number>>;
};

/** What one measurement loads a server with. */
export type CellShape = {
  readonly sizeBytes: number;
  /** Operations and their shares, in words. */
  readonly mix: string;
  readonly connections: number;
  /** In flight at the same time on each connection. */
  readonly callsPerConnection: number;
  readonly keys: number;
};

/** One measurement: a size under a mix in one round. */
export type CellResult = CellShape & {
  readonly round: number;
  readonly seconds: number;
  readonly operations: readonly OperationResult[];
  /** CPU time is per good answer of the whole cell; null when the server's process is not known. */
  readonly server: {
    readonly cpuUsPerOperation: number;
    /** Of one core, while the load ran. */
    readonly cpuPercent: number;
    readonly rssBeforeBytes: number;
    readonly rssPeakBytes: number;
    readonly rssAfterBytes: number;
  } | null;
  readonly stealPercent: number;
  readonly loadAverage: number;
  readonly generatorCpuPercent: number;
  /** Bodies that were compared with what was written, the warm-up's too, and those that differed. */
  readonly bodiesCompared: number;
  readonly bodiesDifferent: number;
};

export function describeCell<Operation extends string>(input: {
  shape: CellShape;
  operations: readonly Operation[];
  round: number;
  seconds: number;
  tally: Tally<Operation>;
  checks: BodyChecks;
  observed: Observed;
}): CellResult {
  const { shape, round, seconds, tally, observed } = input;
  return {
    ...shape,
    round,
    seconds: rounded(seconds),
    operations: input.operations.map((operation) =>
      describeOperation(operation, tally.of(operation), seconds),
    ),
    server: describeServer(observed, seconds, tally.goodCount),
    stealPercent: rounded(observed.stealPercent),
    loadAverage: rounded(observed.loadAverage),
    generatorCpuPercent: rounded(observed.generatorCpuPercent),
    bodiesCompared: input.checks.compared,
    bodiesDifferent: input.checks.different,
  };
}

function describeOperation(
  operation: string,
  { good, bytes, errors, latencies }: OperationTally,
  seconds: number,
): OperationResult {
  const percentile = (share: number): number | null => {
    const valueMs = latencies.percentileMs(share);
    return valueMs === null ? null : rounded(valueMs);
  };
  return {
    operation,
    answers: good,
    answersPerSecond: rounded(good / seconds),
    megabytesPerSecond: rounded(bytes / seconds / 1e6),
    p50Ms: percentile(0.5),
    p99Ms: percentile(0.99),
    p999Ms: percentile(0.999),
    maxMs: rounded(latencies.maxMs()),
    errors: Object.fromEntries(errors),
  };
}

function describeServer(
  { server }: Observed,
  seconds: number,
  answers: number,
): CellResult["server"] {
  if (server === null) return null;
  const { cpuUs, ...memory } = server;
  return {
    cpuUsPerOperation: rounded(cpuUs / answers),
    cpuPercent: rounded(cpuUs / (seconds * 1e4)),
    ...memory,
  };
}

/** Three significant places of what is small, whole numbers of what is large. */
export function rounded(value: number): number {
  return Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(3));
}

/** The middle one, or the mean of the middle two; null of none. */
export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
