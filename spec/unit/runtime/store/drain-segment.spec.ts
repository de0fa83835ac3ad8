import { describe, expect, test } from "bun:test";
import { KiB, minute, second } from "../../../../runtime/base/units.ts";
import { recordHeaderBytes } from "../../../../runtime/store/record.ts";
import { turn } from "../../../support/sim-clock.ts";
import { EvictionRun, evictionCapacity } from "../../../support/sim-eviction.ts";

const segmentBytes = 32 * KiB;

/** What is vouched for has to be written again when its segment goes. */
async function fillLeased(run: EvictionRun, prefix: string, bytes: number): Promise<string[]> {
  const keys = await run.fill(prefix, bytes);
  for (const key of keys) {
    const manifest = run.find(key);
    if (manifest !== null) run.sim.store.vouch(manifest);
  }
  return keys;
}

/** The longest that a write took while so much was written. */
async function slowestMs(run: EvictionRun, prefix: string, bytes: number): Promise<number> {
  const { clock } = run.sim;
  let slowest = 0;
  for (let i = 0; i * KiB < bytes; i++) {
    const startMs = clock.monotonicMs();
    await run.put(`${prefix}-${i}`, KiB);
    slowest = Math.max(slowest, clock.monotonicMs() - startMs);
  }
  return slowest;
}

/** Breaks a byte in the body of what was put last. */
function damage(run: EvictionRun, key: string): void {
  const { disk } = run.sim;
  const manifest = run.find(key);
  if (manifest === null) throw new Error(`${key} is not there`);
  const path = `/data/segments/${String(manifest.file).padStart(12, "0")}.seg`;
  const file = disk.open(path, "readWrite");
  const at = manifest.offsetBytes + recordHeaderBytes + manifest.metadataBytes + 10;
  const byte = new Uint8Array(1);
  file?.read(byte, at);
  file?.write(
    byte.map((old) => old ^ 0xff),
    at,
  );
}

describe("a segment with a record whose body cannot be read", () => {
  test("goes in its turn, with the record", async () => {
    const run = await EvictionRun.start(101, evictionCapacity, { nextTurn: turn });
    const leased = await fillLeased(run, "leased", 2 * segmentBytes);
    damage(run, leased[3] ?? "");
    expect(await slowestMs(run, "cold", 3 * evictionCapacity)).toBeLessThan(10 * second);
    expect(run.usedBytesMost).toBeLessThanOrEqual(evictionCapacity + segmentBytes);
    const rest = leased.filter((_, i) => i !== 3);
    expect(await run.readAll(rest)).toEqual({ right: rest.length, missing: 0, wrong: 0 });
    expect(run.find(leased[3] ?? "")).toBeNull();
  });

  test("is not collected out of turn, and keeps nothing else from it", async () => {
    const run = await EvictionRun.start(102, evictionCapacity, { nextTurn: turn });
    const { store, clock, disk } = run.sim;
    await run.fill("before", 0.5 * evictionCapacity);
    for (let i = 0; i < 10; i++) await run.put(`again-${i}`, 2 * KiB);
    await run.put("damaged", 2 * KiB);
    damage(run, "damaged");
    const file = run.find("damaged")?.file ?? 0;
    const name = `${String(file).padStart(12, "0")}.seg`;
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 10; i++) await run.put(`again-${i}`, 2 * KiB);
    }
    await run.pass(minute);
    // The others that are mostly dead are gone by now; this one still holds the only value of a key.
    expect(disk.list("/data/segments")).toContain(name);
    const startMs = clock.monotonicMs();
    expect(await slowestMs(run, "cold", 3 * evictionCapacity)).toBeLessThan(10 * second);
    expect(clock.monotonicMs() - startMs).toBeLessThan(10 * minute);
    expect(disk.list("/data/segments")).not.toContain(name);
    expect(store.usage().usedBytes).toBeLessThanOrEqual(evictionCapacity + segmentBytes);
  });
});

describe("what has to be written again without room for it", () => {
  test("goes before its time, and nothing is written beyond the bound for it", async () => {
    const run = await EvictionRun.start(103);
    const { store, calls } = run.sim;
    // No file can be unlinked, so that nothing comes back for what is written again.
    calls.fail({ at: 1, kind: "remove", times: "forever", code: "EIO", effect: 0 });
    await fillLeased(run, "leased", 0.48 * evictionCapacity);
    const late = Array.from({ length: 400 }, (_, i) => run.put(`late-${i}`, KiB));
    const ended = Promise.allSettled(late);
    await run.pass(2 * minute);
    await ended;
    expect(run.usedBytesMost).toBeLessThanOrEqual(evictionCapacity + segmentBytes + 4 * KiB);
    const { leasesShortened, movedCount } = store.usage().space;
    expect(movedCount).toBeGreaterThan(0);
    expect(leasesShortened).toBeGreaterThan(0);
    calls.heal();
    await run.pass(minute);
    expect(await slowestMs(run, "more", 2 * evictionCapacity)).toBeLessThan(10 * second);
    expect((await run.readAll(run.bodies.keys())).wrong).toBe(0);
  });
});
