import fs from "node:fs";
import os from "node:os";
import { LatencyHistogram } from "../../cli/bench/histogram.ts";
import { second } from "../../runtime/base/units.ts";
import type { Latencies, ProbeOrder, ProbeReport } from "./latency-probe.ts";
import { type LoadConnection, openLoadConnection } from "./load-client.ts";

/** The process behind a latency probe. */
const order = JSON.parse(process.argv[2] ?? "{}") as ProbeOrder;
const answerMsMax = 40 * second;
const msPerNs = 1e-6;

type Counts = { raw: LatencyHistogram; net: LatencyHistogram; failed: number };

let counts = fresh();
let isPaused = true;

function fresh(): Map<string, Counts> {
  return new Map(
    order.paths.map((path) => {
      return [path, { raw: new LatencyHistogram(), net: new LatencyHistogram(), failed: 0 }];
    }),
  );
}

/**
 * Milliseconds that a main thread has waited for a core since its start.
 * @source sched-stats.rst of Linux: the second figure, in nanoseconds; it grows when the wait ends.
 */
function waitedMs(pid: number): number {
  try {
    const text = fs.readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "latin1");
    return Number(text.split(" ")[1]) * msPerNs;
  } catch {
    return 0; // A kernel without these figures: net is raw then.
  }
}

async function ask(connection: LoadConnection, path: string): Promise<void> {
  const count = counts.get(path);
  const nodeWaitedMs = waitedMs(order.pid);
  const ownWaitedMs = waitedMs(process.pid);
  const startMs = performance.now();
  const answer = await connection.exchange({ method: "GET", target: path });
  const tookMs = performance.now() - startMs;
  const lostMs =
    waitedMs(order.pid) - nodeWaitedMs + Math.max(0, waitedMs(process.pid) - ownWaitedMs);
  if (count === undefined) return;
  count.raw.add(tookMs);
  count.net.add(Math.max(0, tookMs - lostMs));
  if (answer.at === "lost" || answer.status !== 200) count.failed += 1;
}

async function run(): Promise<void> {
  const connection = openLoadConnection(order.port, answerMsMax);
  for (;;) {
    for (const path of order.paths) {
      if (!isPaused) await ask(connection, path);
      await Bun.sleep(order.pauseMs);
    }
  }
}

function latenciesOf(histogram: LatencyHistogram, failed: number): Latencies {
  return {
    count: histogram.count,
    p50Ms: histogram.percentileMs(0.5) ?? 0,
    p99Ms: histogram.percentileMs(0.99) ?? 0,
    p999Ms: histogram.percentileMs(0.999) ?? 0,
    maxMs: histogram.maxMs(),
    failed,
  };
}

function report(): ProbeReport {
  const entries = [...counts].map(([path, { raw, net, failed }]) => {
    return [path, { raw: latenciesOf(raw, failed), net: latenciesOf(net, failed) }];
  });
  return Object.fromEntries(entries) as ProbeReport;
}

process.on("message", (message: string) => {
  if (message === "pause") isPaused = true;
  if (message === "goOn") isPaused = false;
  if (message !== "cut") return;
  process.send?.(report());
  counts = fresh();
});
process.on("disconnect", () => process.exit(0));
try {
  // Ahead of load and node, where the machine lets us: the probe must not wait for what it measures.
  os.setPriority(-10);
} catch {
  // Not root: `net` takes its waits out.
}
await run();
