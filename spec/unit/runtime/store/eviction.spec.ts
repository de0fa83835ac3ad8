import { describe, expect, test } from "bun:test";
import { KiB } from "../../../../runtime/base/units.ts";
import { turn } from "../../../support/sim-clock.ts";
import { EvictionRun, evictionCapacity, evictionScope } from "../../../support/sim-eviction.ts";
import { nameOf } from "../../../support/sim-store-script.ts";

const segmentBytes = 32 * KiB;

describe("a store that is written to past its capacity", () => {
  test("refuses nothing, stays within its bound, and keeps the newest", async () => {
    const run = await EvictionRun.start(1);
    const keys = await run.fill("k", 10 * evictionCapacity);
    expect(run.usedBytesMost).toBeLessThanOrEqual(evictionCapacity + segmentBytes);
    const all = await run.readAll(keys);
    expect(all.wrong).toBe(0);
    const newest = keys.slice(-Math.floor(all.right * 0.7));
    expect(await run.readAll(newest)).toEqual({ right: newest.length, missing: 0, wrong: 0 });
    expect(run.sim.store.whyMissing(nameOf(evictionScope, keys[0]!))).toBe("evicted");
    expect(run.sim.store.whyMissing(nameOf(evictionScope, "never"))).toBe("never_written");
    const { space, artifactCommits } = run.sim.store.usage();
    expect(artifactCommits).toBe(keys.length);
    expect(space.evictedCount).toBe(all.missing);
  });

  test("keeps what is read again and again, however old it is", async () => {
    const run = await EvictionRun.start(2);
    const hot = await run.fill("hot", evictionCapacity / 5);
    for (let round = 0; round < 40; round++) {
      await run.fill(`cold-${round}`, evictionCapacity / 10);
      await run.readAll(hot);
    }
    expect(await run.readAll(hot)).toEqual({ right: hot.length, missing: 0, wrong: 0 });
    expect(run.sim.store.usage().space.movedCount).toBeGreaterThan(hot.length);
  });

  test("collects what is mostly overwritten before anything that counts goes", async () => {
    const run = await EvictionRun.start(3);
    const kept = await run.fill("kept", evictionCapacity / 4);
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 40; i++) await run.put(`again-${i}`, 2 * KiB);
    }
    expect(await run.readAll(kept)).toEqual({ right: kept.length, missing: 0, wrong: 0 });
    expect(run.sim.store.usage().space.evictedCount).toBe(0);
  });

  test("collects what a clean has left before anything that counts goes", async () => {
    const run = await EvictionRun.start(8);
    await run.fill("cleaned", 0.5 * evictionCapacity);
    await run.commit({ op: "clean", scope: nameOf(evictionScope, "any").scope });
    run.bodies.clear();
    const kept = await run.fill("kept", 0.1 * evictionCapacity);
    const { clock, store } = run.sim;
    await run.sim.until(() => store.usage().usedBytes < evictionCapacity / 2);
    expect(clock.monotonicMs()).toBeLessThan(120_000);
    expect(await run.readAll(kept)).toEqual({ right: kept.length, missing: 0, wrong: 0 });
  });

  test("lets large files go by the age of their last use", async () => {
    const run = await EvictionRun.start(4);
    for (let i = 0; i < 40; i++) {
      await run.putLarge(`large-${i}`, 40 * KiB);
      if (i > 0) expect(await run.read("large-0")).toBe("right");
      expect(run.usedBytesMost).toBeLessThanOrEqual(evictionCapacity + 45 * KiB);
    }
    expect(await run.read("large-1")).toBe("missing");
    expect(await run.read("large-39")).toBe("right");
  });

  test("frees a large file as soon as it is replaced", async () => {
    const run = await EvictionRun.start(5);
    for (let i = 0; i < 40; i++) await run.putLarge("same", 40 * KiB);
    expect(run.sim.store.usage().space.evictedCount).toBe(0);
    expect(await run.read("same")).toBe("right");
  });
});

describe("what a client was told of", () => {
  for (const { share, isKept } of [
    { share: 0.3, isKept: true },
    { share: 0.8, isKept: false },
  ]) {
    const end = isKept ? "stays" : "goes in part, and each that goes is counted";
    test(`with ${share * 100} % of the capacity ${end}`, async () => {
      const run = await EvictionRun.start(6);
      const filled = await run.fill("leased", evictionCapacity * share);
      const leased = filled.filter((key) => run.find(key) !== null);
      for (const key of leased) run.sim.store.vouch(run.find(key)!);
      await run.fill("more", 2 * evictionCapacity);
      const { right, missing, wrong } = await run.readAll(leased);
      expect(wrong).toBe(0);
      expect(run.sim.store.usage().space.leasesShortened).toBe(missing);
      if (isKept) expect(right).toBe(leased.length);
      else expect(missing).toBeGreaterThan(0);
    });
  }
});

describe("after the index was lost", () => {
  test("what was deleted stays deleted, though its file went", async () => {
    const run = await EvictionRun.start(7);
    const keys = await run.fill("k", evictionCapacity / 4);
    for (const key of keys.slice(0, 10)) await run.delete(key);
    await run.fill("more", evictionCapacity);
    const remains = run.sim.kill();
    remains.home.setAside();
    const next = await run.next(remains);
    const { wrong } = await next.readAll(run.bodies.keys());
    expect(wrong).toBe(0);
    for (const key of keys.slice(0, 10)) expect(next.find(key)).toBeNull();
  });

  test("at any moment of an eviction no value is older than the one that was acknowledged last", async () => {
    for (let moment = 0; moment < 6; moment++) {
      const run = await overwrittenAndEvicted(moment);
      const { wrong } = await run.readAll(run.bodies.keys());
      expect({ moment, wrong }).toEqual({ moment, wrong: 0 });
    }
  });
});

/** Every segment has values of all keys; the index is lost when so many of them are unlinked. */
async function overwrittenAndEvicted(unlinkedCount: number): Promise<EvictionRun> {
  const run = await EvictionRun.start(9, evictionCapacity, { nextTurn: turn });
  for (let i = 0; i < 200; i++) await run.put(`again-${i % 40}`, 800 + run.random.below(400));
  const { store, calls, clock } = run.sim;
  const before = calls.trace.length;
  // All of it has to go for this one, at once.
  const stage = store.stage(0.8 * evictionCapacity);
  void stage.write(new Uint8Array(1)).catch(() => {});
  const unlinked = (): number =>
    calls.trace.slice(before).filter(({ kind }) => kind === "remove").length;
  // Time passes slowly: the store has many turns before the next thing falls due.
  for (let turns = 1; turns < 2_000 && unlinked() < unlinkedCount; turns++) {
    await turn();
    if (turns % 32 === 0) clock.step();
  }
  expect(unlinked()).toBe(unlinkedCount);
  const remains = run.sim.kill();
  remains.home.setAside();
  return await run.next(remains);
}
