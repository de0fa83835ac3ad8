import os from "node:os";
import { buildInfo } from "../../runtime/base/build-info.ts";
import { systemClock } from "../../runtime/base/clock.ts";
import { Fault } from "../../runtime/base/fault.ts";
import type { CellResult } from "../bench/figures.ts";
import type { TargetFlags } from "../bench/options.ts";
import { summarize, warningsOf } from "../bench/summary.ts";
import { type BenchPort, type BenchTarget, findTarget } from "../bench/target.ts";
import type { Terminal } from "../terminal.ts";
import { type BenchView, startBenchView } from "../view/bench-progress.ts";
import { renderBench } from "../view/bench-table.ts";

/** As a shell names an end by SIGINT and SIGTERM. */
const signalExitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

/** A load that a command runs against a server. */
export type BenchLoad = {
  readonly terminal: Terminal;
  readonly flags: TargetFlags & { readonly json?: boolean };
  readonly port: BenchPort;
  /** What the report says of the plan. */
  readonly plan: object;
  /** Runs all measurements and hands out each as it ends. */
  readonly run: (parts: {
    readonly target: BenchTarget;
    readonly signal: AbortSignal;
    readonly view: BenchView;
    readonly take: (result: CellResult) => void;
  }) => Promise<void>;
};

/**
 * Loads a server and prints what it took. Interrupted, it prints what was measured until then.
 * @throws Fault "damaged" after the figures when an answer was not what it should be.
 */
export async function reportBench({ terminal, flags, port, plan, run }: BenchLoad): Promise<void> {
  const interrupt = new AbortController();
  const unwatch = watchSignals(interrupt);
  try {
    const results: CellResult[] = [];

    await using target = await findTarget(terminal, flags, port);
    try {
      if (!interrupt.signal.aborted) {
        const view = await startBenchView(terminal);
        try {
          const take = (result: CellResult): number => results.push(result);
          await run({ target, signal: interrupt.signal, view, take });
        } finally {
          view.end();
        }
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

type Report = {
  readonly plan: object;
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
    plan,
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
