import os from "node:os";
import { sampleNode } from "./node-sample.ts";
import type { WatchOrder } from "./node-watch.ts";

/** A process that looks at a node every so often and tells its parent. It ends with either of them. */
const order = JSON.parse(process.argv[2] ?? "{}") as WatchOrder;
const startMs = performance.now();

function look(isAsked: boolean): void {
  try {
    const lookMs = performance.now();
    const sample = sampleNode(order.pid, order.dataDir);
    const tookMs = performance.now() - lookMs;
    process.send?.({ atMs: lookMs - startMs, tookMs, isAsked, ...sample });
  } catch {
    process.exit(0);
  }
}

process.on("message", () => look(true));
process.on("disconnect", () => process.exit(0));
try {
  // Ahead of load and node, where the machine lets us: a look that is held up adds what was never there together.
  os.setPriority(-10);
} catch {
  // Not root: looks that took long are told from the others by their time.
}
setInterval(() => look(false), order.periodMs);
