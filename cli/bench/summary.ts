import { showBytes } from "../../runtime/config/value.ts";
import { type CellResult, median, type OperationResult, rounded } from "./figures.ts";

/** One operation of one size under one mix over all rounds: medians, but sums of errors and the highest peak. */
export type SummaryRow = {
  readonly size: string;
  readonly operation: string;
  readonly mix: string;
  readonly connections: number;
  readonly callsPerConnection: number;
  readonly answersPerSecond: number | null;
  readonly megabytesPerSecond: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly p999Ms: number | null;
  /** Of the whole cell: with a mixed cell the mean over its operations. */
  readonly serverCpuUs: number | null;
  readonly rssBeforeBytes: number | null;
  readonly rssPeakBytes: number | null;
  readonly rssAfterBytes: number | null;
  readonly stealPercent: number | null;
  readonly loadAverage: number | null;
  readonly generatorCpuPercent: number | null;
  readonly errors: Readonly<Record<string, number>>;
};

/** Beyond this share of a core the generator may have been what limited the requests a second. */
const busyGeneratorPercentMin = 85;

export function summarize(results: readonly CellResult[]): SummaryRow[] {
  return cellsOf(results).flatMap((rounds) => {
    const names = rounds[0]?.operations.map(({ operation }) => operation) ?? [];
    return names.map((name) => summarizeOperation(rounds, name));
  });
}

/** What a reader must know before believing the figures. */
export function warningsOf(results: readonly CellResult[]): string[] {
  return cellsOf(results).flatMap((rounds) => {
    const [{ sizeBytes, mix } = { sizeBytes: 0, mix: "" }] = rounds;
    const where = `${mix} of ${showBytes(sizeBytes)}`;
    const busyPercent = median(rounds.map((cell) => cell.generatorCpuPercent)) ?? 0;
    const warnings: string[] = [];
    if (busyPercent >= busyGeneratorPercentMin) {
      const busy = `${where}: the generator used ${Math.round(busyPercent)} % of a core`;
      warnings.push(
        `${busy}: requests a second and latencies may be its own; CPU per operation is the server's`,
      );
    }
    const errors = totalErrors(rounds.flatMap((cell) => cell.operations));
    if (Object.keys(errors).length > 0) {
      warnings.push(`${where}: some requests failed: ${showErrors(errors)}`);
    }
    return warnings;
  });
}

export function showErrors(errors: Readonly<Record<string, number>>): string {
  const parts = Object.entries(errors).map(([what, count]) => `${count} x ${what}`);
  return parts.length === 0 ? "none" : parts.join(", ");
}

/** Rounds of one cell side by side, in the order of the first round. */
function cellsOf(results: readonly CellResult[]): CellResult[][] {
  return [...Map.groupBy(results, (cell) => `${cell.sizeBytes} ${cell.mix}`).values()];
}

function summarizeOperation(rounds: readonly CellResult[], name: string): SummaryRow {
  const [first] = rounds;
  const found = rounds.flatMap((cell) => cell.operations.filter((one) => one.operation === name));
  const servers = rounds.flatMap(({ server }) => (server === null ? [] : [server]));
  const peaks = servers.map((server) => server.rssPeakBytes);
  return {
    size: showBytes(first?.sizeBytes ?? 0),
    operation: name,
    mix: first?.mix ?? "",
    connections: first?.connections ?? 0,
    callsPerConnection: first?.callsPerConnection ?? 0,
    answersPerSecond: middle(found.map((one) => one.answersPerSecond)),
    megabytesPerSecond: middle(found.map((one) => one.megabytesPerSecond)),
    p50Ms: middle(found.flatMap(({ p50Ms }) => p50Ms ?? [])),
    p99Ms: middle(found.flatMap(({ p99Ms }) => p99Ms ?? [])),
    p999Ms: middle(found.flatMap(({ p999Ms }) => p999Ms ?? [])),
    serverCpuUs: middle(servers.map((server) => server.cpuUsPerOperation)),
    rssBeforeBytes: servers[0]?.rssBeforeBytes ?? null,
    rssPeakBytes: peaks.length === 0 ? null : Math.max(...peaks),
    rssAfterBytes: servers.at(-1)?.rssAfterBytes ?? null,
    stealPercent: middle(rounds.map((cell) => cell.stealPercent)),
    loadAverage: middle(rounds.map((cell) => cell.loadAverage)),
    generatorCpuPercent: middle(rounds.map((cell) => cell.generatorCpuPercent)),
    errors: totalErrors(found),
  };
}

function middle(values: readonly number[]): number | null {
  const value = median(values);
  return value === null ? null : rounded(value);
}

function totalErrors(operations: readonly OperationResult[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const { errors } of operations) {
    for (const [what, count] of Object.entries(errors)) total[what] = (total[what] ?? 0) + count;
  }
  return total;
}
