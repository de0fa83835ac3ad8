import os from "node:os";
import { buildInfo } from "../../runtime/base/build-info.ts";
import { systemClock } from "../../runtime/base/clock.ts";
import { Fault } from "../../runtime/base/fault.ts";
import { second } from "../../runtime/base/units.ts";
import { showBytes } from "../../runtime/config/value.ts";
import type { CellResult } from "../bench/figures.ts";
import { showMix } from "../bench/mix.ts";
import { type BenchFlags, type BenchPlan, planBench } from "../bench/options.ts";
import { runBench } from "../bench/run.ts";
import { summarize, warningsOf } from "../bench/summary.ts";
import { type BenchTarget, findTarget } from "../bench/target.ts";
import type { Terminal } from "../terminal.ts";
import { type BenchView, startBenchView } from "../view/bench-progress.ts";
import { renderBench } from "../view/bench-table.ts";

/** As a shell names an end by SIGINT and SIGTERM. */
const signalExitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Loads a server over HTTP and prints what it took. Interrupted, it prints what was measured until then.
 * @throws Fault "damaged" after the figures when a body was not what had been written.
 */
export async function benchHttp(terminal: Terminal, flags: BenchFlags): Promise<void> {
  const plan = planBench(flags);
  const interrupt = new AbortController();
  const unwatch = watchSignals(interrupt);
  try {
    const results: CellResult[] = [];

    await using target = await findTarget(terminal, flags);
    try {
      if (!interrupt.signal.aborted) {
        await measure({ terminal, plan, target, signal: interrupt.signal, results });
      }
    } catch (error) {
      if (!interrupt.signal.aborted) throw error;
    }

    const isWhole = !interrupt.signal.aborted;
    if (!isWhole) terminal.complain(`kura: interrupted after ${results.length} measurements`);
    if (results.length > 0) {
      print(terminal, { plan, target, results, isWhole, isJson: flags.json === true });
    }
    if (isWhole) requireSameBodies(results);
  } finally {
    unwatch();
  }
}

type Measuring = {
  readonly terminal: Terminal;
  readonly plan: BenchPlan;
  readonly target: BenchTarget;
  readonly signal: AbortSignal;
  /** Filled as the cells end. */
  readonly results: CellResult[];
};

async function measure({ terminal, plan, target, signal, results }: Measuring): Promise<void> {
  const view: BenchView = await startBenchView(terminal);
  const expectedMs = plan.end.at === "duration" ? plan.warmUpMs + plan.end.ms + second : null;
  try {
    await runBench({
      plan,
      url: target.url,
      pids: target.pids,
      signal,
      tell: ({ cell, number, count }) => {
        const what = `${showMix(cell.mix)} of ${showBytes(cell.sizeBytes)}, ${cell.connections} conns`;
        view.update({ number, count, what, expectedMs });
      },
      take: (result) => results.push(result),
    });
  } finally {
    view.end();
  }
}

type Report = {
  readonly plan: BenchPlan;
  readonly target: BenchTarget;
  readonly results: readonly CellResult[];
  readonly isWhole: boolean;
  readonly isJson: boolean;
};

function print(terminal: Terminal, { plan, target, results, isWhole, isJson }: Report): void {
  const summary = summarize(results);
  const warnings = [...target.warnings, ...warningsOf(results)];
  if (!isJson && terminal.isInteractive) {
    terminal.print(renderBench(summary, warnings));
    return;
  }
  const { url, isOwn, pids } = target;
  const report = {
    version: buildInfo.version,
    commit: buildInfo.commit,
    date: new Date(systemClock.wallMs()).toISOString(),
    machine: describeMachine(),
    server: { url, isOwn, pids },
    isWhole,
    plan: { ...plan, cells: plan.cells.length, headers: plan.headers.length },
    summary,
    rounds: results,
    warnings,
  };
  terminal.print(JSON.stringify(report, null, 2));
}

function describeMachine(): object {
  const [first] = os.cpus();
  return {
    cores: os.cpus().length,
    model: first?.model.trim() ?? "unknown",
    memoryBytes: os.totalmem(),
    kernel: os.release(),
    bun: Bun.version,
  };
}

function requireSameBodies(results: readonly CellResult[]): void {
  const sum = (of: (cell: CellResult) => number): number =>
    results.reduce((total, cell) => total + of(cell), 0);
  const different = sum((cell) => cell.bodiesDifferent);
  if (different === 0) return;
  const compared = sum((cell) => cell.bodiesCompared);
  const what = `${different} of ${compared} compared bodies are not what was written`;
  throw new Fault("damaged", `${what}: does another run with another program use the same keys?`);
}

/** The first signal ends the load in order, the second one at once; the caller's code says which it was. */
function watchSignals(interrupt: AbortController): () => void {
  const removers = (["SIGINT", "SIGTERM"] as const).map((name) => {
    const take = (): void => {
      process.exitCode = signalExitCodes[name];
      if (interrupt.signal.aborted) process.exit();
      interrupt.abort();
    };
    process.on(name, take);
    return () => process.removeListener(name, take);
  });
  return () => {
    for (const remove of removers) remove();
  };
}
