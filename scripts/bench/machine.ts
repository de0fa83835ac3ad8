import os from "node:os";
import { median, rounded } from "../../cli/bench/figures.ts";
import { machineTicks, stealPercent } from "../../cli/bench/proc.ts";

/** The machine a figure was measured on: without it the figure says nothing. */
export type Machine = {
  readonly cores: number;
  readonly model: string;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly bun: string;
};

export function describeMachine(): Machine {
  return {
    cores: os.cpus().length,
    model: os.cpus()[0]?.model.trim() ?? "unknown",
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    bun: Bun.version,
  };
}

/** Several values of one thing, in its unit. */
export type Figure = {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly values: readonly number[];
};

export function figure(values: readonly number[]): Figure {
  const middle = median(values);
  if (middle === null) throw new Error("Cannot take the median of no values");
  return {
    median: rounded(middle),
    min: rounded(Math.min(...values)),
    max: rounded(Math.max(...values)),
    values: values.map(rounded),
  };
}

/** What others did on the machine during one measurement. */
export type Disturbance = {
  readonly stealPercent: number;
  /** Load average of the last minute, when it began; the measurement itself adds to it later. */
  readonly loadBefore: number;
};

/** Starts to watch the machine; the result tells what it was like since. */
export function watchMachine(): () => Disturbance {
  const before = machineTicks();
  const loadBefore = rounded(os.loadavg()[0] ?? 0);
  return () => ({ stealPercent: rounded(stealPercent(before, machineTicks())), loadBefore });
}
