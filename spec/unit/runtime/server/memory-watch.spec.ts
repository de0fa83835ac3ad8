import { describe, expect, test } from "bun:test";
import { minute } from "../../../../runtime/base/units.ts";
import { MemoryPressure } from "../../../../runtime/observe/memory-pressure.ts";
import type { MemoryTier } from "../../../../runtime/observe/memory-tier.ts";
import { MemoryScene } from "../../../support/memory-scene.ts";

describe("what the watch does when memory runs short", () => {
  test("it tells each tier that is entered and left, with the figures", () => {
    using scene = new MemoryScene();
    for (const bytes of [50, 75, 95, 10]) {
      scene.liveMiB = bytes;
      scene.run(1_000);
    }
    expect(scene.lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      "warn memory is constrained",
      "warn memory is critical",
      "info memory is normal again",
    ]);
    expect(scene.lines.at(-1)).toMatchObject({
      before: "critical",
      source: "cgroup v2",
      ms: 1_000,
    });
    const { highest_bytes: highest, used_bytes: used } = scene.lines.at(-1) ?? {};
    expect(Number(highest)).toBeGreaterThan(Number(used));
  });

  test("it collects as soon as a tier is entered, and again and again until it is left", () => {
    using scene = new MemoryScene();
    scene.garbageMiB = 55;
    scene.run(200);
    expect(scene.collections).toBe(0);
    scene.garbageMiB = 75;
    scene.run(200);
    expect([scene.collections, scene.garbageMiB]).toEqual([1, 0]);
    scene.run(10_000);
    expect([scene.pressure.tier, scene.collections]).toEqual(["normal", 1]);
  });

  test("collections that free nothing become rare", () => {
    using scene = new MemoryScene();
    scene.liveMiB = 95;
    scene.run(10 * minute);
    expect(scene.collections).toBeGreaterThan(10);
    expect(scene.collections).toBeLessThan(30);
  });

  test("without a source that works nothing is shed any more", () => {
    using scene = new MemoryScene();
    scene.liveMiB = 95;
    scene.run(200);
    expect(scene.pressure.tier).toBe("critical");
    scene.spoilFile();
    scene.run(1_000);
    expect(scene.pressure.tier).toBe("normal");
    expect(scene.lines.at(-2)?.message).toBe("memory is not watched: no source works");
  });
});

describe("a tier is left when its load has ended", () => {
  test("whatever the load left behind in caches and as garbage", () => {
    for (let seed = 1; seed <= 20; seed++) {
      using scene = new MemoryScene(seed);
      scene.load(1 * minute);
      scene.endLoad();
      scene.run(1 * minute);
      expect(`${seed} ${scene.pressure.tier}`).toBe(`${seed} normal`);
    }
  });

  test("both higher tiers are met on the way, and entered no more often than left", () => {
    const left: MemoryTier[] = [];
    for (let seed = 1; seed <= 20; seed++) {
      using scene = new MemoryScene(seed);
      scene.load(1 * minute);
      scene.endLoad();
      scene.run(1 * minute);
      for (const { message, before } of scene.lines) {
        if (String(message).endsWith("again")) left.push(before as MemoryTier);
      }
    }
    expect(new Set(left)).toEqual(new Set<MemoryTier>(["constrained", "critical"]));
  });
});

describe("memory that is not ours to give back", () => {
  test("does not keep writes out, however long others hold it", () => {
    for (let seed = 1; seed <= 20; seed++) {
      using scene = new MemoryScene(seed);
      scene.foreignMiB = 92;
      scene.run(1 * minute);
      expect([scene.pressure.tier, scene.pressure.refusesWrites]).toEqual(["critical", false]);
      expect(scene.lines.at(-1)?.message).toContain("they are taken again");
      scene.foreignMiB = 0;
      scene.run(1_000);
      expect(scene.pressure.tier).toBe("normal");
    }
  });

  test("keeps a pinned tier pinned", () => {
    using scene = new MemoryScene(1, "critical");
    scene.run(10 * minute);
    expect([scene.pressure.tier, scene.pressure.refusesWrites]).toEqual(["critical", true]);
    expect(new MemoryPressure({ softBytes: 1, hardBytes: 2, pin: "normal" }).tier).toBe("normal");
  });
});
