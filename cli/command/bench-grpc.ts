import { second } from "../../runtime/base/units.ts";
import { showBytes } from "../../runtime/config/value.ts";
import { type GrpcBenchFlags, planGrpcBench } from "../bench/grpc/plan.ts";
import { runGrpcBench } from "../bench/grpc/run.ts";
import type { Terminal } from "../terminal.ts";
import { reportBench } from "./bench-report.ts";

/** Loads a server of the Remote Execution API over gRPC and prints what it took, as `reportBench` says. */
export async function benchGrpc(terminal: Terminal, flags: GrpcBenchFlags): Promise<void> {
  const plan = planGrpcBench(flags);
  const expectedMs = plan.end.at === "duration" ? plan.warmUpMs + plan.end.ms + second : null;
  await reportBench({
    terminal,
    flags,
    port: "grpc",
    plan: { ...plan, cells: plan.cells.length, headers: plan.headers.length },
    run: ({ target, signal, view, take }) =>
      runGrpcBench({
        plan,
        url: target.url,
        pids: target.pids,
        signal,
        tell: ({ cell, number, count }) => {
          const calls = `${cell.connections} conns of ${cell.callsPerConnection} calls`;
          const what = `${cell.operation} of ${showBytes(cell.sizeBytes)}, ${calls}`;
          view.update({ number, count, what, expectedMs });
        },
        take,
      }),
  });
}
