import { describe, expect, test } from "bun:test";
import { hour, KiB, minute } from "../../../../runtime/base/units.ts";
import type { PartStage } from "../../../../runtime/store/multipart.ts";
import { drive, turn } from "../../../support/sim-clock.ts";
import { EvictionRun, evictionCapacity, putOf } from "../../../support/sim-eviction.ts";

const segmentBytes = 32 * KiB;

async function fillLeased(run: EvictionRun, share: number): Promise<string[]> {
  const filled = await run.fill("leased", evictionCapacity * share);
  const leased = filled.filter((key) => run.find(key) !== null);
  for (const key of leased) run.sim.store.vouch(run.find(key)!);
  return leased;
}

describe("what must stay", () => {
  test("is not written again faster than what it leaves is unlinked", async () => {
    const run = await EvictionRun.start(21);
    await fillLeased(run, 0.45);
    await run.fill("cold", 3 * evictionCapacity);
    expect(run.usedBytesMost).toBeLessThanOrEqual(evictionCapacity + segmentBytes + 4 * KiB);
    expect(run.sim.store.usage().space.leasesShortened).toBe(0);
  });

  test("is looked at once and not for ever when there is nothing else", async () => {
    const run = await EvictionRun.start(22);
    await fillLeased(run, 0.4);
    await holdParts(run, 0.5);
    await run.pass(2 * minute);
    const { movedBytes } = run.sim.store.usage().space;
    expect(movedBytes).toBeLessThan(4 * evictionCapacity);
    expect(run.usedBytesMost).toBeLessThanOrEqual(evictionCapacity + 2 * segmentBytes);
    // In vain as long as the leases last, and not for longer.
    const refused = await drive(run.sim.clock, Promise.allSettled([commitOf(run, "late")]));
    expect(refused?.value[0]?.status).toBe("rejected");
    await run.pass(hour);
    await drive(run.sim.clock, Promise.allSettled([commitOf(run, "wakes it")]));
    await run.pass(minute);
    expect((await run.put("later", KiB)).at).toBe("stored");
  });

  test("is no sea of deletes", async () => {
    const run = await EvictionRun.start(23, 128 * KiB);
    for (let i = 0; i < 600; i++) {
      await run.put(`k-${i}`, 100);
      await run.delete(`k-${i}`);
    }
    expect(run.usedBytesMost).toBeLessThanOrEqual(128 * KiB + segmentBytes);
    expect(run.sim.store.usage().space.movedBytes).toBeLessThan(1_024 * KiB);
  });
});

test("what was promised and what was read together never take all of the capacity for good", async () => {
  const run = await EvictionRun.start(27);
  const leased = await fillLeased(run, 0.4);
  const read = await run.fill("read", 0.25 * evictionCapacity);
  await run.readAll(read);
  const written: string[] = [];
  for (let i = 0; i < 60; i++) {
    written.push(...(await run.fill(`more-${i}`, evictionCapacity / 20)));
    await run.readAll(written.slice(-100));
    await run.readAll(read);
  }
  expect(await run.readAll(leased)).toEqual({ right: leased.length, missing: 0, wrong: 0 });
});

describe("writers that wait for room", () => {
  test("do not keep what makes room from being written", async () => {
    const run = await EvictionRun.start(24);
    await fillLeased(run, 0.3);
    await run.fill("cold", evictionCapacity);
    const all = Array.from({ length: 4_096 }, (_, i) => commitOf(run, `many-${i}`));
    const ended = await drive(run.sim.clock, Promise.allSettled(all), 10 * minute);
    const reasons = new Set(
      ended?.value.map((one) => (one.status === "rejected" ? String(one.reason) : "stored")),
    );
    expect([...reasons]).toEqual(["stored"]);
  });

  test("get room for one object of more than half of the capacity", async () => {
    const run = await EvictionRun.start(25);
    await run.fill("old", evictionCapacity);
    await run.putLarge("huge", 0.7 * evictionCapacity);
    expect(await run.read("huge")).toBe("right");
    expect(run.usedBytesMost).toBeLessThanOrEqual(evictionCapacity + segmentBytes);
  });

  test("are not refused while a large body is whole and not committed yet", async () => {
    const run = await EvictionRun.start(28);
    const { store, clock } = run.sim;
    const [first, second] = [putOf("first"), putOf("second")];
    const body = run.random.bytes(0.6 * evictionCapacity);
    const stage = store.stage(body.length);
    const written = await drive(clock, stage.write(body));
    expect(written).not.toBeNull();
    const next = store.stage(body.length);
    const waiting = next.write(body).then(
      () => "written",
      () => "refused",
    );
    const staged = await drive(clock, stage.finish(first.name, first));
    // Ten seconds in which it is neither on its way nor an artifact.
    await run.pass(10_000);
    await run.commit({ ...first, body: staged!.value });
    expect((await drive(clock, waiting))?.value).toBe("written");
    const last = await drive(clock, next.finish(second.name, second));
    expect((await run.commit({ ...second, body: last!.value })).at).toBe("stored");
  });

  test("give their turn away when they give up", async () => {
    const run = await EvictionRun.start(26);
    await run.fill("old", evictionCapacity);
    const { store, clock } = run.sim;
    const stage = store.stage(0.8 * evictionCapacity);
    const write = stage.write(run.random.bytes(KiB)).catch(() => "given up");
    stage.discard();
    const before = clock.monotonicMs();
    await run.put("next", KiB);
    expect(clock.monotonicMs() - before).toBeLessThan(20_000);
    await drive(clock, write);
    await run.fill("more", evictionCapacity);
  });

  test("may be parts of uploads, which then are whole", async () => {
    const run = await EvictionRun.start(27);
    await run.fill("old", 2 * evictionCapacity);
    const { store, clock } = run.sim;
    const { uploads } = store;
    const upload = uploads.start(putOf("module").name);
    const body = run.random.bytes(0.2 * evictionCapacity);
    const sizeBytes = body.length;
    const open = (number: number): PartStage => uploads.openPart(upload, { number, sizeBytes });
    const [first, second, third] = [open(1), open(2), open(3)];
    const givenUp = third.write(body).catch(() => "given up");
    third.discard();
    const taken = [first, second].map((part) => part.write(body).then(() => part.finish()));
    const whole = Promise.all(taken);
    expect(await Promise.race([whole, turn().then(() => "waiting")])).toBe("waiting");
    await drive(clock, whole);
    expect(await givenUp).toBe("given up");
    expect(uploads.figures().partBytes).toBe(2 * body.length);
    expect(run.usedBytesMost).toBeLessThanOrEqual(evictionCapacity + segmentBytes);
  });
});

/** Parts of uploads take so much of the capacity, or what there is room for. */
async function holdParts(run: EvictionRun, share: number): Promise<void> {
  const { uploads } = run.sim.store;
  const upload = uploads.start(putOf("unfinished").name);
  const body = run.random.bytes(10 * KiB);
  for (let number = 1; number * body.length < share * evictionCapacity; number++) {
    const part = uploads.openPart(upload, { number, sizeBytes: body.length });
    const write = part.write(body).then(() => part.finish());
    const end = await drive(run.sim.clock, Promise.allSettled([write]));
    if (end?.value[0]?.status === "fulfilled") continue;
    part.discard();
    return;
  }
}

function commitOf(run: EvictionRun, key: string): Promise<unknown> {
  return run.sim.store.commit({ ...putOf(key), body: run.random.bytes(100) });
}
