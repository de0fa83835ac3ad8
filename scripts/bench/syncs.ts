import fs from "node:fs";
import path from "node:path";
import { rounded } from "../../cli/bench/figures.ts";
import { requireProgram } from "../../spec/support/client-packages.ts";
import { fill } from "../../spec/support/load.ts";
import { makeTemporaryFolder, startNode } from "../../spec/support/node-process.ts";
import { readStoreCounters } from "./store-counters.ts";

const connections = 64;

export type SyncResult = {
  readonly writes: number;
  readonly groups: number;
  readonly meanGroup: number;
  /** Calls of fdatasync on files of the segments folder, from the first write to the last answer. */
  readonly segmentSyncs: number;
  /** Calls of fdatasync and fsync on everything else in the same time: checkpoints, folders. */
  readonly otherSyncs: number;
};

/**
 * Counts the calls that make writes durable, as the kernel sees them. strace starts the node (`-D` keeps the node's
 * own pid) and stops it only at these calls, so that groups form as without it.
 */
export async function measureSyncs(options: {
  binary: string;
  writes: number;
}): Promise<SyncResult> {
  const strace = requireProgram("strace", "apt-get install strace");
  const folder = makeTemporaryFolder("strace");
  const log = path.join(folder, "calls.txt");
  try {
    const calls = ["--seccomp-bpf", "-e", "trace=fdatasync,fsync"];
    const launcher = [strace, "-D", "-f", "-y", ...calls, "-e", "signal=none", "-o", log];
    await using node = await startNode({ binary: options.binary, launcher });
    const before = await readStoreCounters(node.url);
    const linesBefore = readCalls(log).length;
    await fill({ port: node.port, first: 1, count: options.writes, bodyBytes: 1024, connections });
    const calledSince = readCalls(log).slice(linesBefore);
    const after = await readStoreCounters(node.url);
    const groups = after.groups - before.groups;
    const segmentSyncs = calledSince.filter((line) => line.includes("/segments/")).length;
    return {
      writes: options.writes,
      groups,
      meanGroup: rounded((after.commits - before.commits) / Math.max(1, groups)),
      segmentSyncs,
      otherSyncs: calledSince.length - segmentSyncs,
    };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** A call that another thread interrupts has two lines; only the first has the bracket. */
function readCalls(log: string): string[] {
  const lines = fs.readFileSync(log, "utf8").split("\n");
  return lines.filter((line) => line.includes("fdatasync(") || line.includes("fsync("));
}
