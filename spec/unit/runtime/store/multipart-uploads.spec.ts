import { describe, expect, test } from "bun:test";
import { Fault } from "../../../../runtime/base/fault.ts";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { day, hour, minute } from "../../../../runtime/base/units.ts";
import { turn } from "../../../support/sim-clock.ts";
import { SimStore } from "../../../support/sim-store.ts";
import {
  completeUpload,
  type KnownUpload,
  openUpload,
  partFiles,
  putPart,
  readKey,
  runUploadSeed,
  wholeOf,
} from "../../../support/sim-uploads-run.ts";
import { scaled } from "../../../support/tier.ts";

async function startSim(seed = 1): Promise<SimStore> {
  const sim = new SimStore({ random: seededRandom(seed) });
  await sim.ready();
  return sim;
}

async function nextLife(sim: SimStore): Promise<SimStore> {
  const next = sim.next(sim.kill());
  await next.ready();
  for (let i = 0; i < 20; i++) await turn();
  return next;
}

function body(byte: number, sizeBytes = 1_000): Uint8Array {
  return new Uint8Array(sizeBytes).fill(byte);
}

async function readBuffer(sim: SimStore, key: string): Promise<Buffer | null> {
  const bytes = await readKey(sim, key);
  return bytes === null ? null : Buffer.from(bytes);
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "none";
  } catch (error) {
    return error instanceof Fault ? error.code : String(error);
  }
}

/** Steps the clock over everything that falls due. */
async function pass(sim: SimStore, forMs: number): Promise<void> {
  const endMs = sim.clock.monotonicMs() + forMs;
  sim.clock.after(forMs, () => {});
  while (sim.clock.monotonicMs() < endMs && sim.clock.step()) await turn();
}

const isOpen = (sim: SimStore, upload: KnownUpload): boolean =>
  sim.store.uploads.find(upload.id) !== null;

describe("parts", () => {
  test("become the artifact in the order of their numbers, and then there is nothing left of them", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    await putPart(sim, upload, 7, body(7));
    await putPart(sim, upload, 2, body(2, 5_000));
    await putPart(sim, upload, 3, body(3, 0));
    expect(sim.store.uploads.figures()).toEqual({ activeCount: 1, partBytes: 6_000 });
    expect(await completeUpload(sim, upload)).toBe("stored");
    for (let i = 0; i < 20; i++) await turn();
    expect(await readBuffer(sim, "k")).toEqual(wholeOf(upload));
    expect(partFiles(sim)).toEqual([]);
    expect(sim.store.uploads.figures()).toEqual({ activeCount: 0, partBytes: 0 });
    expect(await codeOf(completeUpload(sim, upload))).toBe("missing");
  });

  test("count in the space of the store while they wait", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    const before = sim.store.usage().usedBytes;
    await putPart(sim, upload, 1, body(1, 3_000));
    await putPart(sim, upload, 1, body(2, 2_000));
    expect(sim.store.usage().usedBytes - before).toBe(2_000);
    const next = await nextLife(sim);
    expect(next.store.uploads.figures()).toEqual({ activeCount: 1, partBytes: 2_000 });
  });

  test("that are given up leave nothing behind", async () => {
    const sim = await startSim();
    const { uploads } = sim.store;
    const upload = openUpload(sim, "k");
    const stage = uploads.openPart(upload.id, { number: 1, sizeBytes: null });
    expect(uploads.figures().partBytes).toBeGreaterThan(0);
    stage.discard();
    stage.discard();
    expect([partFiles(sim), uploads.figures().partBytes]).toEqual([[], 0]);
  });

  test("survive a killed process, and a part under way leaves no trace", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    await putPart(sim, upload, 1, body(1));
    const replaced = sim.store.uploads.openPart(upload.id, { number: 1, sizeBytes: 1_000 });
    void replaced.write(body(9)).catch(() => {});
    const next = await nextLife(sim);
    expect(partFiles(next)).toHaveLength(1);
    await putPart(next, upload, 2, body(2));
    expect(await completeUpload(next, upload)).toBe("stored");
    expect(await readBuffer(next, "k")).toEqual(wholeOf(upload));
  });

  test("whose files are gone or cut short are forgotten at the start, so that they can be sent again", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    for (const number of [1, 2, 3]) await putPart(sim, upload, number, body(number));
    const [first = "", second = ""] = partFiles(sim);
    sim.disk.remove(`/data/parts/${first}`);
    sim.disk.remove(`/data/parts/${second}`);
    sim.disk.create(`/data/parts/${second}`).write(body(2, 10), 0);
    sim.disk.create("/data/parts/000000000077.part").write(body(7, 10), 0);
    const next = await nextLife(sim);
    expect(partFiles(next)).toHaveLength(1);
    expect(next.store.uploads.figures().partBytes).toBe(1_000);
    expect(await codeOf(completeUpload(next, upload))).toBe("badRequest");
    for (const number of [1, 2]) await putPart(next, upload, number, body(number));
    expect(await completeUpload(next, upload)).toBe("stored");
    expect(await readBuffer(next, "k")).toEqual(wholeOf(upload));
  });

  test("damaged on disk are found before they become an artifact", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    for (const number of [1, 2]) await putPart(sim, upload, number, body(number));
    sim.disk.open(`/data/parts/${partFiles(sim)[1]}`, "readWrite")?.write(body(0, 1), 500);
    expect(await codeOf(completeUpload(sim, upload))).toBe("badRequest");
    expect(await readKey(sim, "k")).toBeNull();
    await putPart(sim, upload, 2, body(2));
    expect(await completeUpload(sim, upload)).toBe("stored");
  });
});

test(
  "whatever dies in the middle, parts are whole or the client is told",
  async () => {
    const count = scaled(10_000);
    const first = Number(process.env.KURA_SPEC_SEED ?? 1);
    console.log(`uploads: ${count} seeds from ${first} (KURA_SPEC_SEED starts elsewhere)`);
    for (let seed = first; seed < first + count; seed++) {
      expect([seed, await runUploadSeed(seed)]).toEqual([seed, null]);
    }
  },
  minute,
);

describe("the time of an upload", () => {
  test("ends after a day, with its parts and its place", async () => {
    const sim = await startSim();
    const old = openUpload(sim, "old");
    await putPart(sim, old, 1, body(1));
    await pass(sim, 23 * hour);
    const young = openUpload(sim, "young");
    expect(isOpen(sim, old)).toBe(true);
    await pass(sim, hour + 11 * minute);
    expect([isOpen(sim, old), isOpen(sim, young)]).toEqual([false, true]);
    expect(sim.store.uploads.figures()).toEqual({ activeCount: 1, partBytes: 0 });
    expect(partFiles(sim)).toEqual([]);
    expect(await codeOf(putPart(sim, old, 2, body(2)))).toBe("missing");
  });

  test("ends for all that are over, however many, and for no other", async () => {
    const sim = await startSim();
    const old = Array.from({ length: 30 }, (_, i) => openUpload(sim, `old-${i}`));
    for (const upload of old) await putPart(sim, upload, 1, body(1, 100));
    await pass(sim, 23 * hour);
    const young = openUpload(sim, "young");
    await pass(sim, hour + 11 * minute);
    expect(old.filter((upload) => isOpen(sim, upload))).toEqual([]);
    expect([isOpen(sim, young), partFiles(sim)]).toEqual([true, []]);
    expect(sim.store.uploads.figures()).toEqual({ activeCount: 1, partBytes: 0 });
  });

  test("that is over while nothing can be written ends later, and nothing spins until then", async () => {
    const sim = new SimStore({ random: seededRandom(2), nextTurn: turn });
    await sim.ready();
    for (let i = 0; i < 30; i++) openUpload(sim, `old-${i}`);
    await pass(sim, 23 * hour);
    sim.calls.fail({ at: 1, kind: "indexApply", times: "forever", code: "EIO", effect: 0 });
    await pass(sim, 2 * hour);
    const before = sim.notes.length;
    for (let i = 0; i < 100; i++) await turn();
    expect([sim.notes.length - before, sim.store.uploads.figures().activeCount]).toEqual([0, 30]);
    sim.calls.heal();
    await pass(sim, hour);
    expect(sim.store.uploads.figures().activeCount).toBe(0);
  });

  test("goes on while the process is down, and is over at the next start", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    await putPart(sim, upload, 1, body(1));
    sim.clock.jumpWall(day);
    const next = await nextLife(sim);
    expect([isOpen(next, upload), partFiles(next)]).toEqual([false, []]);
  });

  test("does not follow a wall clock that jumps while the process lives", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    sim.clock.jumpWall(30 * day);
    await pass(sim, hour);
    expect(isOpen(sim, upload)).toBe(true);
  });

  test("begins anew when the clock was set back over a restart, once", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    sim.clock.jumpWall(-30 * day);
    const second = await nextLife(sim);
    await pass(second, 23 * hour);
    expect(isOpen(second, upload)).toBe(true);
    const third = await nextLife(second);
    await pass(third, hour + minute);
    expect(isOpen(third, upload)).toBe(false);
  });

  test("does not run out while it is being completed", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    await putPart(sim, upload, 1, body(1));
    const gate = Promise.withResolvers<void>();
    const completed = sim.store.uploads.complete(upload.id, [1], async () => {
      await gate.promise;
      return "stored";
    });
    await pass(sim, 2 * day);
    expect(partFiles(sim)).toHaveLength(1);
    gate.resolve();
    expect(await completed).toBe("stored");
    for (let i = 0; i < 5; i++) await turn();
    expect(partFiles(sim)).toEqual([]);
  });
});

describe("who comes second", () => {
  test("a part that ends after the completion finds no upload, and leaves no file", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    await putPart(sim, upload, 1, body(1));
    const late = sim.store.uploads.openPart(upload.id, { number: 2, sizeBytes: 0 });
    await completeUpload(sim, upload);
    expect(await codeOf(late.finish())).toBe("missing");
    late.discard();
    await turn();
    expect(partFiles(sim)).toEqual([]);
  });

  test("a part waits for a completion, and counts when that failed", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    await putPart(sim, upload, 1, body(1));
    const gate = Promise.withResolvers<void>();
    const failing = sim.store.uploads.complete(upload.id, [1], async () => {
      await gate.promise;
      throw new Fault("checksumMismatch", "not what was declared");
    });
    const stage = sim.store.uploads.openPart(upload.id, { number: 2, sizeBytes: 0 });
    let isDone = false;
    const finished = stage.finish().then(() => {
      isDone = true;
    });
    await turn();
    expect(isDone).toBe(false);
    gate.resolve();
    expect(await codeOf(failing)).toBe("checksumMismatch");
    await finished;
    upload.parts.set(2, body(0, 0));
    expect(await completeUpload(sim, upload)).toBe("stored");
  });

  test("whoever completes what exists is told so, with whatever parts", async () => {
    const sim = await startSim();
    const [first, second] = [openUpload(sim, "k"), openUpload(sim, "k")];
    await putPart(sim, first, 1, body(1));
    await putPart(sim, second, 1, body(2));
    expect(await completeUpload(sim, first)).toBe("stored");
    expect(await completeUpload(sim, second)).toBe("exists");
    expect(await readBuffer(sim, "k")).toEqual(wholeOf(first));
  });
});

describe("an end that could not be written", () => {
  test("leaves an upload that completes again, and that the next start removes", async () => {
    const sim = await startSim();
    const upload = openUpload(sim, "k");
    await putPart(sim, upload, 1, body(1));
    const applied = sim.calls.trace.filter(({ kind }) => kind === "indexApply").length;
    // The commit of the artifact is the next one, the end of the upload the one after it.
    const at = applied + 2;
    sim.calls.fail({ at, kind: "indexApply", times: "once", code: "EIO", effect: 0 });
    expect(await completeUpload(sim, upload)).toBe("stored");
    expect(sim.calls.failed).toHaveLength(1);
    expect(isOpen(sim, upload)).toBe(true);
    const next = await nextLife(sim);
    expect([isOpen(next, upload), partFiles(next)]).toEqual([false, []]);
    expect(await readKey(next, "k")).toHaveLength(1_000);
  });
});

test("an index that is made anew takes the uploads with it, and their files go", async () => {
  const sim = await startSim();
  const upload = openUpload(sim, "k");
  await putPart(sim, upload, 1, body(1));
  sim.home.damage();
  expect(await codeOf(putPart(sim, upload, 2, body(2)))).toBe("unavailable");
  expect(await sim.until(() => sim.store.state().at === "serving", 5_000)).toBe(true);
  for (let i = 0; i < 20; i++) await turn();
  expect([isOpen(sim, upload), partFiles(sim)]).toEqual([false, []]);
  expect(sim.store.uploads.figures()).toEqual({ activeCount: 0, partBytes: 0 });
  const again = openUpload(sim, "k");
  await putPart(sim, again, 1, body(1));
  expect(await completeUpload(sim, again)).toBe("stored");
});
