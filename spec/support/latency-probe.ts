import path from "node:path";
import { second } from "../../runtime/base/units.ts";
import type { NodeProcess } from "./node-process.ts";

/** Latencies of one kind of request, in milliseconds. */
export type Latencies = {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** Requests that were not answered 200. */
  readonly failed: number;
};

/** `net` leaves out the time in which the node's loop or the probe was ready to run and the machine ran others. */
export type ProbeReport = Readonly<
  Record<string, { readonly raw: Latencies; readonly net: Latencies }>
>;

/** Asks one thing after the other on one connection, from a process of its own with nothing else to do. */
export type LatencyProbe = AsyncDisposable & {
  /** What was measured since the last cut; the next stretch begins here. */
  cut(): Promise<ProbeReport>;
  /** Asks nothing until `goOn`. What was measured stays. */
  pause(): void;
  goOn(): void;
};

export type ProbeOrder = {
  readonly port: number;
  readonly pid: number;
  readonly paths: readonly string[];
  /** Between an answer and the next request. */
  readonly pauseMs: number;
};

const answerMsMax = 60 * second;

/** Starts paused. */
export function startProbe(
  node: Pick<NodeProcess, "port" | "pid">,
  options: { readonly paths: readonly string[]; readonly pauseMs: number },
): LatencyProbe {
  const order: ProbeOrder = { port: node.port, pid: node.pid, ...options };
  let waiting: ((report: ProbeReport) => void) | null = null;
  const child = Bun.spawn(
    [process.execPath, path.join(import.meta.dir, "latency-probe-child.ts"), JSON.stringify(order)],
    {
      stdio: ["ignore", "inherit", "inherit"],
      ipc(report: ProbeReport) {
        waiting?.(report);
        waiting = null;
      },
    },
  );
  return {
    cut() {
      const { promise, resolve, reject } = Promise.withResolvers<ProbeReport>();
      const timer = setTimeout(() => reject(new Error("The probe does not answer")), answerMsMax);
      waiting = (report) => {
        clearTimeout(timer);
        resolve(report);
      };
      child.send("cut");
      return promise;
    },
    pause: () => child.send("pause"),
    goOn: () => child.send("goOn"),
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
    },
  };
}
