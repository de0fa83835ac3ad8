import type { MemoryPressure } from "./memory-pressure.ts";
import { memoryTiers } from "./memory-tier.ts";
import type { Metrics } from "./metrics.ts";
import { readFigures } from "./metrics-grid.ts";

/** How short of memory the node is. @source control-plane.md 8 for the first four names. */
export function addMemoryFigures(metrics: Metrics, memory: MemoryPressure): void {
  metrics.gauge(
    "kura_memory_pressure_state",
    "0 normal, 1 constrained (what is optional is shed), 2 critical (writes are refused).",
    () => memoryTiers.indexOf(memory.tier),
  );
  metrics.gauge(
    "kura_memory_used_bytes",
    "Memory in use that counts against the limits; absent when it cannot be told.",
    () => memory.usedBytes,
  );
  metrics.gauge(
    "kura_memory_soft_limit_bytes",
    "KURA_MEMORY_SOFT_LIMIT_BYTES.",
    () => memory.marks.softBytes,
  );
  metrics.gauge(
    "kura_memory_hard_limit_bytes",
    "KURA_MEMORY_HARD_LIMIT_BYTES.",
    () => memory.marks.hardBytes,
  );
  metrics.gauge(
    "kura_memory_refuses_writes",
    "1 while writes are refused for want of memory.",
    () => Number(memory.refusesWrites),
  );
  metrics.counter(
    "kura_memory_refused_writes_total",
    "Writes refused for want of memory.",
    () => memory.refusedWrites,
  );
  readFigures(metrics.registry, {
    name: "kura_memory_tier_entries_total",
    help: "How often each tier was entered since the start.",
    label: "tier",
    values: memoryTiers,
    read: (tier) => memory.entries(tier),
  });
}
