import { expect, test } from "bun:test";
import { KiB, minute } from "../../../../runtime/base/units.ts";
import type { Stage } from "../../../../runtime/store/store.ts";
import { drive } from "../../../support/sim-clock.ts";
import { EvictionRun, evictionCapacity, putOf } from "../../../support/sim-eviction.ts";

/** Ends a body that came in chunks, and commits it. */
async function store(run: EvictionRun, key: string, stage: Stage): Promise<void> {
  const change = putOf(key);
  const staged = await drive(run.sim.clock, stage.finish(change.name, change));
  if (staged === null) throw new Error("the stage did not end");
  await run.commit({ ...change, body: staged.value });
}

test("an index that is found corrupt while room is made is made anew, and who waits gets his room", async () => {
  const run = await EvictionRun.start(61);
  const { home, clock, store } = run.sim;
  await run.fill("old", 2 * evictionCapacity);
  await run.pass(minute);
  home.damage();
  const body = run.random.bytes(0.6 * evictionCapacity);
  const stage = store.stage(body.length);
  expect(await drive(clock, stage.write(body), 20_000)).not.toBeNull();
  expect([home.asideCount, store.state().at]).toEqual([1, "serving"]);
  stage.discard();
  expect((await run.put("next", KiB)).at).toBe("stored");
});

test("a body on its way in while the index is made anew is not taken for an old one", async () => {
  const run = await EvictionRun.start(62);
  const { home, clock, store: kept } = run.sim;
  const body = run.random.bytes(40 * KiB);
  const stage = kept.stage(body.length);
  await drive(clock, stage.write(body.subarray(0, 10 * KiB)));
  home.damage();
  await expect(run.put("meets it", KiB)).rejects.toThrow();
  expect(await run.sim.until(() => kept.state().at === "serving")).toBe(true);
  await run.fill("cold", 3 * evictionCapacity);
  await drive(clock, stage.write(body.subarray(10 * KiB)));
  await store(run, "slow", stage);
  run.bodies.set("slow", body);
  expect(await run.read("slow")).toBe("right");
});

test("a body of unknown outcome that the log has after all goes by its age like any other", async () => {
  const run = await EvictionRun.start(63);
  const { home, clock, store: kept } = run.sim;
  const body = run.random.bytes(40 * KiB);
  const change = putOf("unknown");
  const stage = kept.stage(body.length);
  await drive(clock, stage.write(body));
  const staged = await drive(clock, stage.finish(change.name, change));
  if (staged === null) throw new Error("the stage did not end");
  home.damage();
  const commit = run.commit({ ...change, body: staged.value });
  await expect(commit).rejects.toMatchObject({ code: "outcomeUnknown" });
  expect(await run.sim.until(() => kept.state().at === "serving")).toBe(true);
  run.bodies.set("unknown", body);
  expect(await run.read("unknown")).toBe("right");
  for (let i = 0; i < 3; i++) await run.fill(`cold-${i}`, 2 * evictionCapacity);
  expect([await run.read("unknown"), kept.usage().largeFileCount]).toEqual(["missing", 0]);
});
