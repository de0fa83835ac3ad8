import { expect, test } from "bun:test";
import { second } from "../../../../runtime/base/units.ts";
import type { FileUser } from "../../../../runtime/store/file-users.ts";
import type { Body } from "../../../../runtime/store/store.ts";
import { drive } from "../../../support/sim-clock.ts";
import { EvictionRun, evictionCapacity } from "../../../support/sim-eviction.ts";

const segmentBytes = 32 * 1024;

type Slice = Extract<Body, { at: "slice" }>;

async function openLarge(run: EvictionRun, key: string): Promise<Slice> {
  await run.read(key);
  const manifest = run.find(key);
  if (manifest === null) throw new Error(`${key} is not there`);
  const body = run.sim.store.open(manifest, 0, manifest.sizeBytes);
  if (body.at !== "slice") throw new Error(`${key} is answered with ${body.at}`);
  return body;
}

test("a slow reader of what was evicted costs other data its place, and no writer his room", async () => {
  const uses = new Set<string>();
  const user: FileUser = { isUsing: (path) => uses.has(path), drop: () => {} };
  const run = await EvictionRun.start(51, evictionCapacity, { fileUsers: [user] });
  const { disk, store, clock } = run.sim;
  await run.putLarge("slow", 0.4 * evictionCapacity);
  const { path, startBytes, endBytes } = await openLarge(run, "slow");
  const handle = disk.open(path, "read");
  uses.add(path);
  const heldBytes = endBytes - startBytes;
  let slowestMs = 0;
  for (let round = 0; round < 60; round++) {
    const beforeMs = clock.monotonicMs();
    await run.fill(`cold-${round}`, evictionCapacity / 20);
    slowestMs = Math.max(slowestMs, clock.monotonicMs() - beforeMs);
  }
  expect(await run.read("slow")).toBe("missing");
  expect(disk.sizeBytes(path)).toBeNull();
  expect(store.usage().space.deadBytes).toBeGreaterThanOrEqual(heldBytes);
  expect(run.usedBytesMost).toBeLessThanOrEqual(evictionCapacity + segmentBytes);
  expect(slowestMs).toBeLessThan(20 * second);
  const bytes = new Uint8Array(heldBytes);
  expect(handle?.read(bytes, startBytes)).toBe(heldBytes);
  expect(Buffer.compare(bytes, run.bodies.get("slow") ?? new Uint8Array(0))).toBe(0);
  uses.delete(path);
  await run.pass(5 * second);
  expect(store.usage().space.deadBytes).toBeLessThan(heldBytes);
  expect(await drive(clock, run.put("next", 100))).not.toBeNull();
});
