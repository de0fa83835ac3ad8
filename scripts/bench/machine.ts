import fs from "node:fs";
import os from "node:os";

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
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle];
  if (upper === undefined) throw new Error("Cannot take the median of no values");
  const lower = sorted.length % 2 === 1 ? upper : (sorted[middle - 1] ?? upper);
  return {
    median: rounded((lower + upper) / 2),
    min: rounded(sorted[0] ?? upper),
    max: rounded(sorted.at(-1) ?? upper),
    values: values.map(rounded),
  };
}

/** Three significant places of what is small, whole numbers of what is large. */
export function rounded(value: number): number {
  return value >= 1_000 ? Math.round(value) : Number(value.toPrecision(3));
}

/** Starts to watch the machine; the result asks how much of its time others took since, in percent. */
export function watchSteal(): () => number {
  const before = readCpuTicks();
  return () => {
    const now = readCpuTicks();
    const total = now.total - before.total;
    return total === 0 ? 0 : rounded((100 * (now.steal - before.steal)) / total);
  };
}

/** @source proc_stat(5): user nice system idle iowait irq softirq steal, in ticks since the start of the machine. */
function readCpuTicks(): { total: number; steal: number } {
  const line = fs.readFileSync("/proc/stat", "utf8").split("\n", 1)[0] ?? "";
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  return { total: ticks.reduce((sum, tick) => sum + tick, 0), steal: ticks[7] ?? 0 };
}
