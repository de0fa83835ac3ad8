import { expect, test } from "bun:test";
import { hour, KiB, MiB } from "../../runtime/base/units.ts";
import { ScrubScene } from "../support/sim-scrub.ts";
import { nameOf } from "../support/sim-store-script.ts";
import { scaled } from "../support/tier.ts";

const seeds = Array.from({ length: scaled(3_000) }, (_, i) => i + 1);
const flipsMax = 6;

/** Ids of what the scrub names, one character a byte. */
const foundIds = (scene: ScrubScene) =>
  new Set(scene.report.damages.map(({ id }) => Buffer.from(id, "hex").toString("latin1")));

test("one cycle finds every artifact that was damaged and no other, and nobody reads it any more", async () => {
  let damagedCount = 0;
  for (const seed of seeds) {
    const scene = await ScrubScene.start(seed);
    await scene.write();
    const damaged = new Set<string>();
    // A bit that is flipped twice is whole again: one flip an artifact.
    for (let i = 0; i < 1 + (seed % flipsMax); i++) {
      for (const id of scene.flip()) damaged.add(id);
    }
    await scene.cycle();
    expect({ seed, ids: foundIds(scene) }).toEqual({ seed, ids: damaged });
    for (const { scope, key } of scene.model.keys()) {
      const { id } = nameOf(scope, key);
      const found = await scene.sim.read(nameOf(scope, key));
      const isDamaged = damaged.has(Buffer.from(id).toString("latin1"));
      if (isDamaged) expect([seed, found]).toEqual([seed, null]);
      else expect(scene.model.judge(scope, key, found)).toBeNull();
    }
    damagedCount += damaged.size;
  }
  expect(damagedCount).toBeGreaterThan(seeds.length / 3);
});

test("what is written again is whole, and the next cycle finds nothing new", async () => {
  for (const seed of seeds) {
    const scene = await ScrubScene.start(seed);
    await scene.write();
    for (let i = 0; i < flipsMax; i++) scene.flip();
    await scene.cycle();
    const { damagedArtifacts } = scene.report;
    for (const { scope, key } of scene.model.keys()) {
      await scene.clients.run([{ at: "put", scope, key, rule: "lastWins", sizeBytes: 300 }]);
    }
    await scene.clients.judgeReads();
    expect([seed, scene.clients.breaches]).toEqual([seed, []]);
    await scene.cycle();
    expect(scene.report.damagedArtifacts).toBe(damagedArtifacts);
  }
});

test("what is overwritten while its damage is looked up stays readable", async () => {
  for (const seed of seeds) {
    const scene = await ScrubScene.start(seed);
    await scene.write();
    for (let i = 0; i < flipsMax; i++) scene.flip();
    scene.sim.store.scrub.startNow();
    for (const { scope, key } of scene.model.keys()) {
      const wait = { at: "wait" } as const;
      const put = { at: "put", scope, key, rule: "lastWins", sizeBytes: 300 } as const;
      await scene.clients.run(scene.random.below(3) === 0 ? [put, wait] : [put]);
    }
    await scene.sim.until(() => scene.report.cycles === 1);
    await scene.clients.judgeReads();
    expect([seed, scene.clients.breaches]).toEqual([seed, []]);
  }
});

test("a scrub beside writes, cleans, aborted uploads and failing calls never raises a false alarm", async () => {
  let cycles = 0;
  for (const seed of seeds) {
    const scene = await ScrubScene.start(seed, { bytesPerSecond: 16 * MiB, cycleMsMin: 0 });
    const { sim } = scene;
    await scene.started();
    for (let round = 0; round < 4; round++) {
      if (seed % 3 === 0) {
        sim.calls.fail({ at: 5, kind: "write", times: "once", code: "EIO", effect: 0.5 });
      }
      await scene.write(30);
      await sim.until(() => sim.store.state().at === "serving", 5_000);
    }
    const { damagedArtifacts, damagedElsewhere, damagedHeaders } = scene.report;
    const counts = { damagedArtifacts, damagedElsewhere, damagedHeaders };
    expect({ seed, ...counts }).toEqual({
      seed,
      damagedArtifacts: 0,
      damagedElsewhere: 0,
      damagedHeaders: 0,
    });
    cycles += scene.report.cycles;
  }
  expect(cycles).toBeGreaterThan(seeds.length);
});

test("a kill takes the cycle back by little: the next life goes on where it was", async () => {
  const scrub = { bytesPerSecond: KiB, cycleMsMin: 24 * hour };
  const scene = await ScrubScene.start(7, scrub);
  await scene.write(200);
  const totalBytes = scene.sim.store.usage().usedBytes;
  const isHalf = () => (scene.report.cycle?.doneBytes ?? 0) > totalBytes / 2;
  expect(await scene.sim.until(isHalf, hour)).toBe(true);
  const before = scene.report.cycle;
  const next = await scene.restart();
  expect(await next.sim.until(() => next.report.cycles === 1, hour)).toBe(true);
  const { lastCycle, checkedBytes } = next.report;
  expect(lastCycle?.startedAt).toBe(before?.startedAt ?? "");
  expect(checkedBytes).toBeLessThan(totalBytes / 2 + 30 * KiB);
  // The next one waits for its time, and a third life knows of the last.
  const third = await next.restart();
  await third.sim.until(() => third.report.state === "running", hour);
  expect(third.report).toMatchObject({ state: "waiting", lastCycle });
});
