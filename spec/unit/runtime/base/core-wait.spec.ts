import { expect, test } from "bun:test";
import { openCoreWait } from "../../../../runtime/base/core-wait.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";

test("a thread waits for a core no longer than time passes, and never less than before", () => {
  const waitedMs = openCoreWait(realDisk);
  const [startMs, firstMs] = [performance.now(), waitedMs()];
  let lastMs = firstMs;
  while (performance.now() - startMs < 50) {
    const nowMs = waitedMs();
    expect(nowMs).toBeGreaterThanOrEqual(lastMs);
    lastMs = nowMs;
  }
  expect(lastMs - firstMs).toBeLessThanOrEqual(performance.now() - startMs);
  expect(Number.isFinite(firstMs)).toBe(true);
});
