import { expect, test } from "bun:test";
import { KiB } from "../../runtime/base/units.ts";
import { EvictionRun, evictionCapacity } from "../support/sim-eviction.ts";
import { randomSurvival } from "../support/sim-store-run.ts";

/** Seeds of one run. */
const seeds = { first: 100, count: 60 };

test("a cut, a kill and a lost index at any place of an eviction give right bytes or misses", async () => {
  for (let seed = seeds.first; seed < seeds.first + seeds.count; seed++) {
    let run = await EvictionRun.start(seed);
    const hot = await run.fill("hot", evictionCapacity / 5);
    for (let life = 0; life < 4; life++) {
      const stopAfter = run.random.below(80);
      for (let i = 0; i < stopAfter; i++) {
        await run.put(`k-${life}-${i}`, 1 + run.random.below(12 * KiB));
        if (i % 10 === 0) await run.readAll(hot);
      }
      // Left in the middle of whatever the store does by itself.
      for (let step = run.random.below(50); step > 0 && run.sim.clock.step(); step--) {
        await Promise.resolve();
      }
      const last = `k-${life}-${stopAfter - 1}`;
      const isCut = run.random.below(2) === 0;
      const remains = isCut
        ? run.sim.powerCut(
            randomSurvival(run.random, 512),
            run.random.below(run.sim.home.unflushedCount + 1),
          )
        : run.sim.kill();
      if (run.random.below(3) === 0) remains.home.setAside();
      run = await run.next(remains);
      expect({ seed, wrong: (await run.readAll(run.bodies.keys())).wrong }).toEqual({
        seed,
        wrong: 0,
      });
      if (stopAfter > 0) expect(await run.read(last)).toBe("right");
    }
  }
});
