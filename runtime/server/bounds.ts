import { heapSize } from "bun:jsc";
import type { Clock } from "../base/clock.ts";
import { openCoreWait } from "../base/core-wait.ts";
import { Descriptors } from "../base/descriptors.ts";
import type { Disk } from "../base/disk.ts";
import { LoopSteps } from "../base/loop-steps.ts";
import { openThreadCpu } from "../base/thread-cpu.ts";
import { softDescriptorLimit } from "../config/machine.ts";
import type { Config } from "../config/table.ts";
import type { Metrics } from "../observe/metrics.ts";
import { createScratch, type Scratch } from "../store/scratch.ts";
import { createLedger, type Ledger } from "../surface/ledger.ts";
import { ConnectionLimit } from "../wire/connection-limit.ts";
import { planDescriptors } from "./descriptor-plan.ts";

/** Everything that there is an end to: memory, files, connections, scratch space, and how long the loop is held. */
export type Bounds = {
  readonly ledger: Ledger;
  readonly descriptors: Descriptors;
  readonly connections: ConnectionLimit;
  readonly scratch: Scratch;
  /** Data files that the store keeps open for reading. */
  readonly readHandles: number;
  /** How long maintenance holds the loop. */
  readonly steps: LoopSteps;
};

export function makeBounds(config: Config, disk: Disk, clock: Clock): Bounds {
  const plan = planDescriptors({
    limit: softDescriptorLimit(disk),
    openNow: disk.list("/proc/self/fd").length,
    poolSize: config.descriptorPoolSize,
    handles: config.segmentHandlesMax,
  });
  return {
    ledger: createLedger(config.uploadMemoryBytesMax, clock),
    descriptors: new Descriptors({
      count: plan.requestFiles,
      waitMsMax: config.descriptorWaitMsMax,
      clock,
    }),
    connections: new ConnectionLimit(plan.connections),
    scratch: createScratch(config.tmpBytesMax, clock),
    readHandles: plan.readHandles,
    steps: new LoopSteps(clock, {
      waitedMs: openCoreWait(disk),
      cpuMs: openThreadCpu(),
      heapBytes: heapSize,
    }),
  };
}

/** What `/metrics` tells of them, beside the memory. */
export function addBoundFigures(metrics: Metrics, bounds: Omit<Bounds, "ledger">): void {
  const { descriptors, connections, scratch } = bounds;
  const scratchBytes = (): number => scratch.staging.usedBytes + scratch.parts.usedBytes;
  const gauges: [string, string, () => number][] = [
    ["kura_file_descriptors_used", "Files open for requests.", () => descriptors.used],
    ["kura_file_descriptors_capacity", "Most files for requests.", () => descriptors.count],
    ["kura_connections", "Connections of the public ports.", () => connections.count],
    ["kura_connections_capacity", "Most such connections.", () => connections.limit],
    ["kura_scratch_used_bytes", "Disk space of what is not stored yet.", scratchBytes],
  ];
  const counters: [string, string, () => number][] = [
    [
      "kura_file_descriptor_waits_total",
      "Requests that waited for a file.",
      () => descriptors.waits,
    ],
    [
      "kura_file_descriptor_timeouts_total",
      "Requests that got no file in time.",
      () => descriptors.timeouts,
    ],
    [
      "kura_connections_refused_total",
      "Connections closed at once for lack of descriptors.",
      () => connections.refused,
    ],
    [
      "kura_connections_shed_total",
      "Idle connections closed for new ones.",
      () => connections.shed,
    ],
  ];
  for (const [name, help, read] of gauges) metrics.gauge(name, help, read);
  for (const [name, help, read] of counters) metrics.counter(name, help, read);
}
