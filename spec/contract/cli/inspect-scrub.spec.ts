import { expect, test } from "bun:test";
import { startNode, until } from "../../support/node-process.ts";
import { readMetric, readScrub } from "../../support/scrub-control.ts";
import { complaints, kura, scratch } from "./run.ts";

test("inspect scrub tells rate, state and last cycle of the running node, and begins a cycle with --now", async () => {
  await using node = await startNode({ env: { KURA_SCRUB_BYTES_PER_SECOND: "1MiB" } });
  await fetch(`${node.url}/v1/cache/77`, { method: "PUT", body: "seventy-seven" });
  const args = ["inspect", "scrub", "--data-dir", node.dataDir];
  const before = await kura(args);
  expect([before.code, before.stderr]).toEqual([0, ""]);
  expect(JSON.parse(before.stdout)).toMatchObject({
    bytesPerSecond: 1_048_576,
    damages: [],
    damagedArtifacts: 0,
  });
  expect((await kura([...args, "--now"])).code).toBe(0);
  await until("the end of the cycle", async () => (await readScrub(node)).cycles === 1);
  const after = JSON.parse((await kura([...args, "--json"])).stdout);
  expect(after).toMatchObject({ state: "waiting", cycles: 1, cycle: null });
  expect(after.lastCycle.doneBytes).toBeGreaterThan(4_096);
  expect(await readMetric(node, "kura_scrub_cycles_total")).toBe(1);
  expect(await readMetric(node, "kura_scrub_bytes_total")).toBe(after.checkedBytes);
  expect(await readMetric(node, "kura_scrub_damaged_total")).toBe(0);
});

test("without a node it says that the scrub is part of one, with 69", async () => {
  using made = scratch();
  const run = await kura(["inspect", "scrub", "--data-dir", made.folder]);
  expect(run.code).toBe(69);
  expect(complaints(run)).toEqual([
    expect.stringMatching(/no node is running in .*inspect verify/),
  ]);
});
