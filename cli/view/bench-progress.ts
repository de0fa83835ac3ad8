import type { Terminal } from "../terminal.ts";

/** Which measurement of how many runs, and what it is in words. */
export type BenchStep = {
  readonly number: number;
  readonly count: number;
  readonly what: string;
  /** How long it takes, when that is known. */
  readonly expectedMs: number | null;
};

export type BenchView = { update(step: BenchStep): void; end(): void };

/** A bar on a terminal, a line for each measurement on stderr elsewhere: stdout carries the figures alone. */
export async function startBenchView(terminal: Terminal): Promise<BenchView> {
  if (terminal.isInteractive) return (await import("./bench-bar.tsx")).startBenchBar();
  return {
    update: ({ number, count, what }) => terminal.complain(`bench: ${number} of ${count}, ${what}`),
    end() {},
  };
}
