import { settled } from "../../cli/bench/measure.ts";
import { cpuUs } from "../../cli/bench/proc.ts";
import { systemClock } from "../../runtime/base/clock.ts";
import { type Figure, figure } from "./machine.ts";
import { type Load, runLoad } from "./wrk.ts";

/** One of the servers that are compared, and what its runs have shown. */
export type Side = {
  readonly port: number;
  /** All processes that work for a request. */
  readonly pids: readonly number[];
  readonly runs: Run[];
};

/** CPU is that of the server's processes until they are quiet again, divided by the answers. */
type Run = {
  readonly cpuUsPerAnswer: number;
  readonly answersPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

export type SideFigures = {
  readonly cpuUsPerAnswer: Figure;
  readonly answersPerSecond: Figure;
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
};

/** Runs a load against one side; `isCounted` false is a warm-up. */
export async function runSide(
  side: Side,
  load: Omit<Load, "port">,
  isCounted: boolean,
): Promise<void> {
  await settled(systemClock, side.pids);
  const beforeUs = usedUs(side);
  const result = await runLoad({ ...load, port: side.port });
  await settled(systemClock, side.pids);
  if (!isCounted) return;
  side.runs.push({
    cpuUsPerAnswer: (usedUs(side) - beforeUs) / result.answers,
    answersPerSecond: result.answers / result.seconds,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
  });
}

export function figuresOf(side: Side): SideFigures {
  return {
    cpuUsPerAnswer: figure(side.runs.map((run) => run.cpuUsPerAnswer)),
    answersPerSecond: figure(side.runs.map((run) => run.answersPerSecond)),
    p50Ms: figure(side.runs.map((run) => run.p50Ms)),
    p99Ms: figure(side.runs.map((run) => run.p99Ms)),
  };
}

function usedUs({ port, pids }: Side): number {
  const usedUs = cpuUs(pids);
  if (usedUs !== null) return usedUs;
  throw new Error(`The server on port ${port} (processes ${pids.join(", ")}) has ended`);
}
