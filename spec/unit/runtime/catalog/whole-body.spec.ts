import { describe, expect, test } from "bun:test";
import { ByteBudget } from "../../../../runtime/base/budget.ts";
import { Fault } from "../../../../runtime/base/fault.ts";
import { hour, KiB } from "../../../../runtime/base/units.ts";
import {
  readWholeBody,
  type Slice,
  type WholeBodyDeps,
} from "../../../../runtime/catalog/whole-body.ts";
import type { Manifest } from "../../../../runtime/store/store.ts";
import { drive } from "../../../support/sim-clock.ts";
import { EvictionRun, evictionCapacity } from "../../../support/sim-eviction.ts";

const bodyBytes = 40 * KiB;

/** A store with one large body, memory for one body, and somebody who reads its files from the disk. */
async function bench(seed: number) {
  const run = await EvictionRun.start(seed);
  const { store, clock, disk } = run.sim;
  await run.putLarge("large", bodyBytes);
  await run.read("large");
  const budget = new ByteBudget(bodyBytes, clock);
  const deps: WholeBodyDeps = {
    store,
    budget: {
      limitBytes: bodyBytes,
      take: (bytes, wait) => budget.take(bytes, { ...wait, withinMs: hour }),
      give: (bytes) => budget.give(bytes),
    },
    signal: new AbortController().signal,
    readSlice: async ({ path, startBytes, endBytes }) =>
      disk.sizeBytes(path) === null ? null : disk.readStretch(path, startBytes, endBytes),
  };
  const manifest = run.find("large");
  if (manifest === null) throw new Error("the body is not there");
  return { run, budget, deps, manifest };
}

/** What a reader gets: "right" when it is `wanted`. */
async function read(
  deps: WholeBodyDeps,
  manifest: Manifest,
  wanted: Uint8Array | null | undefined,
): Promise<"right" | "wrong" | "miss"> {
  using body = await readWholeBody(deps, manifest);
  if (body === null) return "miss";
  return wanted && Buffer.compare(body.bytes, wanted) === 0 ? "right" : "wrong";
}

describe("a body that has to wait for memory", () => {
  test("is a miss when its file is gone by then", async () => {
    const { run, budget, deps, manifest } = await bench(81);
    expect(budget.tryTake(bodyBytes)).toBe(true);
    const waits = read(deps, manifest, run.bodies.get("large"));
    await run.fill("cold", 3 * evictionCapacity);
    budget.give(bodyBytes);
    expect((await drive(run.sim.clock, waits))?.value).toBe("miss");
    expect([budget.usedBytes, run.sim.store.usage().damagedBodies]).toEqual([0, 0]);
  });

  test("is read from where it lies by then", async () => {
    const { run, budget, deps, manifest } = await bench(82);
    const moved = run.random.bytes(bodyBytes);
    const elsewhere: Slice = {
      at: "slice",
      path: "/data/elsewhere",
      startBytes: 0,
      endBytes: bodyBytes,
    };
    run.sim.disk.create(elsewhere.path).write(moved, 0);
    let isMoved = false;
    const open: WholeBodyDeps["store"]["open"] = (...asked) =>
      isMoved ? elsewhere : deps.store.open(...asked);
    budget.tryTake(bodyBytes);
    const waits = read({ ...deps, store: { open } }, manifest, moved);
    isMoved = true;
    budget.give(bodyBytes);
    expect((await drive(run.sim.clock, waits))?.value).toBe("right");
    expect(budget.usedBytes).toBe(0);
  });
});

describe("a body whose file goes in the very moment in which it is opened", () => {
  test("is looked up again", async () => {
    const { run, budget, deps, manifest } = await bench(83);
    let reads = 0;
    const readSlice: WholeBodyDeps["readSlice"] = async (slice) => {
      reads += 1;
      return reads === 1 ? null : await deps.readSlice(slice);
    };
    const found = read({ ...deps, readSlice }, manifest, run.bodies.get("large"));
    expect((await drive(run.sim.clock, found))?.value).toBe("right");
    expect(budget.usedBytes).toBe(0);
  });

  test("is a miss in the end, and holds no memory", async () => {
    const { run, budget, deps, manifest } = await bench(84);
    const gone = { ...deps, readSlice: () => Promise.resolve(null) };
    expect((await drive(run.sim.clock, read(gone, manifest, null)))?.value).toBe("miss");
    expect(budget.usedBytes).toBe(0);
  });
});

test("a body that cannot be read holds no memory", async () => {
  const { run, budget, deps, manifest } = await bench(85);
  const readSlice = (): Promise<never> => Promise.reject(new Fault("internal", "EIO"));
  const failed = drive(run.sim.clock, read({ ...deps, readSlice }, manifest, null));
  await expect(failed).rejects.toThrow("EIO");
  expect(budget.usedBytes).toBe(0);
});
