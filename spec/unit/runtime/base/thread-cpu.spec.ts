import { expect, test } from "bun:test";
import { openThreadCpu } from "../../../../runtime/base/thread-cpu.ts";

test("a thread works while it is busy, no longer than time passes, and not while it sleeps", async () => {
  const cpuMs = openThreadCpu();
  const [startMs, firstMs] = [performance.now(), cpuMs()];
  while (performance.now() - startMs < 30 || cpuMs() - firstMs < 5) {}
  const workedMs = cpuMs() - firstMs;
  expect(workedMs).toBeLessThanOrEqual(performance.now() - startMs);
  const [restMs, beforeMs] = [performance.now(), cpuMs()];
  Bun.sleepSync(50);
  expect(performance.now() - restMs).toBeGreaterThanOrEqual(50);
  expect(cpuMs() - beforeMs).toBeLessThan(25);
});
