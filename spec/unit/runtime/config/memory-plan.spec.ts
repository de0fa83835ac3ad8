import { expect, test } from "bun:test";
import { GiB, MiB } from "../../../../runtime/base/units.ts";
import { loadConfig } from "../../../../runtime/config/load.ts";
import { planMemory, programBytes } from "../../../../runtime/config/memory-plan.ts";

/** From the least that is assumed to more than anybody has. */
const memories = [256 * MiB, 300 * MiB, 512 * MiB, GiB, 2 * GiB, 16 * GiB, 1_024 * GiB];

test.each(memories.map((bytes) => [bytes]))(
  "with %d bytes of memory all budgets hold something and fit under the hard limit",
  (memoryLimitBytes) => {
    const machine = {
      descriptorLimit: 4_096,
      memoryLimitBytes,
      cpuCount: 2,
      hostName: "box",
      fileSystemBytes: () => 100 * GiB,
    };
    const { config, problems } = loadConfig({ env: {}, machine });
    expect(problems).toEqual([]);
    const plan = planMemory(config.memoryHardBytes);
    const budgets = [
      ...Object.values(plan),
      config.manifestCacheBytesMax,
      config.bodyCacheBytesMax,
      config.indexReadCacheBytes,
      config.uploadMemoryBytesMax,
      config.leaseBytesMax,
    ];
    for (const bytes of budgets) expect(bytes).toBeGreaterThan(0);
    const sum = budgets.reduce((total, bytes) => total + bytes, programBytes);
    expect(sum).toBeLessThan(config.memoryHardBytes);
  },
);
