import { second } from "../../runtime/base/units.ts";
import { showBytes } from "../../runtime/config/value.ts";
import { showMix } from "../bench/mix.ts";
import { type BenchFlags, planBench } from "../bench/options.ts";
import { runBench } from "../bench/run.ts";
import type { Terminal } from "../terminal.ts";
import { reportBench } from "./bench-report.ts";

/** Loads a server over HTTP and prints what it took, as `reportBench` says. */
export async function benchHttp(terminal: Terminal, flags: BenchFlags): Promise<void> {
  const plan = planBench(flags);
  const expectedMs = plan.end.at === "duration" ? plan.warmUpMs + plan.end.ms + second : null;
  await reportBench({
    terminal,
    flags,
    port: "http",
    plan: { ...plan, cells: plan.cells.length, headers: plan.headers.length },
    run: ({ target, signal, view, take }) =>
      runBench({
        plan,
        url: target.url,
        pids: target.pids,
        signal,
        tell: ({ cell, number, count }) => {
          const what = `${showMix(cell.mix)} of ${showBytes(cell.sizeBytes)}, ${cell.connections} conns`;
          view.update({ number, count, what, expectedMs });
        },
        take,
      }),
  });
}
