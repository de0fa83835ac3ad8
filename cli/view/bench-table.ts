import { MiB } from "../../runtime/base/units.ts";
import { type SummaryRow, showErrors } from "../bench/summary.ts";
import { type Facts, renderTable } from "./text.ts";

/** The figures for a person: names short enough for one line on a terminal. */
export function renderBench(rows: readonly SummaryRow[], warnings: readonly string[]): string {
  const lines = [renderTable(rows.map(rowOf))];
  for (const warning of warnings) lines.push("", `warning: ${warning}`);
  return lines.join("\n");
}

function rowOf(row: SummaryRow): Facts {
  const { errors, mix, operation, connections, callsPerConnection } = row;
  return {
    size: row.size,
    operation: mix === operation ? operation : `${operation} of ${mix}`,
    conns: callsPerConnection === 1 ? connections : `${connections}x${callsPerConnection}`,
    "req/s": row.answersPerSecond,
    "MB/s": row.megabytesPerSecond,
    "p50 ms": row.p50Ms,
    "p99 ms": row.p99Ms,
    "p99.9 ms": row.p999Ms,
    "CPU us/op": row.serverCpuUs,
    "RSS MiB before/peak/after": [row.rssBeforeBytes, row.rssPeakBytes, row.rssAfterBytes]
      .map((sizeBytes) => (sizeBytes === null ? "-" : Math.round(sizeBytes / MiB)))
      .join("/"),
    "steal %": row.stealPercent,
    load: row.loadAverage,
    "generator %": row.generatorCpuPercent,
    errors: showErrors(errors),
  };
}
