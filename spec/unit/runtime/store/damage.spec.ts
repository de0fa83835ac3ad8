import { describe, expect, test } from "bun:test";
import { KiB } from "../../../../runtime/base/units.ts";
import type { Body, Manifest } from "../../../../runtime/store/store.ts";
import { drive } from "../../../support/sim-clock.ts";
import { EvictionRun, evictionCapacity } from "../../../support/sim-eviction.ts";

/** A store in which somebody reads from all files, so that those that go lose their names and nothing else. */
async function bench(seed: number) {
  const seam = { isRead: true };
  const user = { isUsing: () => seam.isRead, drop: () => {} };
  const run = await EvictionRun.start(seed, evictionCapacity, { fileUsers: [user] });
  const place = async (key: string, sizeBytes: number, isLarge: boolean): Promise<Manifest> => {
    if (isLarge) await run.putLarge(key, sizeBytes);
    else await run.put(key, sizeBytes);
    const manifest = run.find(key);
    if (manifest === null) throw new Error(`${key} is not there`);
    return manifest;
  };
  return { run, seam, place };
}

/** As a download does it that found its artifact a while ago. */
async function openAgain({ sim }: EvictionRun, manifest: Manifest): Promise<Body["at"]> {
  const body = sim.store.open(manifest, 0, manifest.sizeBytes);
  if (body.at !== "check") return body.at;
  await drive(sim.clock, body.done);
  return sim.store.open(manifest, 0, manifest.sizeBytes).at;
}

describe("a read that comes when the name of its file is gone, and the file is not", () => {
  for (const { seed, what, sizeBytes, isLarge } of [
    { seed: 91, what: "a body in a segment", sizeBytes: KiB, isLarge: false },
    { seed: 92, what: "a body with a file of its own", sizeBytes: 40 * KiB, isLarge: true },
  ]) {
    test(`is a miss for ${what}, and nothing is damaged`, async () => {
      const { run, seam, place } = await bench(seed);
      const { store, disk, notes } = run.sim;
      const manifest = await place("old", sizeBytes, isLarge);
      const folder = isLarge ? "large" : "segments";
      const name = disk.list(`/data/${folder}`).sort()[0] ?? "";
      await run.fill("cold", 0.6 * evictionCapacity);
      // Everything goes for this one, and in vain.
      const stage = store.stage(0.8 * evictionCapacity);
      await drive(run.sim.clock, Promise.allSettled([stage.write(new Uint8Array(1))]));
      stage.discard();
      expect([run.find("old"), disk.list(`/data/${folder}`).includes(name)]).toEqual([null, false]);
      expect(store.usage().space.deadBytes).toBeGreaterThan(0);
      expect(await openAgain(run, manifest)).toBe(isLarge ? "check" : "damaged");
      expect(store.usage().damagedBodies).toBe(0);
      expect(notes.filter(({ event }) => event === "damaged artifact")).toEqual([]);
      seam.isRead = false;
      await run.pass(10_000);
      await place("old", sizeBytes, isLarge);
      expect(await run.read("old")).toBe("right");
    });
  }
});
