import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB } from "../../../../runtime/base/units.ts";
import { filePageBytes } from "../../../../runtime/store/format.ts";
import { Model } from "../../../support/model.ts";
import { SimClock } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";
import type { Survival } from "../../../support/sim-disk-file.ts";
import type { IndexRemains } from "../../../support/sim-index.ts";
import { remainsOf, SimStore, simDataDir } from "../../../support/sim-store.ts";
import { judgeStart } from "../../../support/sim-store-run.ts";
import { nameOf, ScriptedClients } from "../../../support/sim-store-script.ts";

const scope = "a/one";
const segmentPath = `${simDataDir}/segments/000000000001.seg`;
const random = seededRandom(5);

/** A power cut that takes all it can. */
const lostAll: Survival = { block: () => "lost", entry: () => false, size: () => false };

type History = {
  readonly bytes: Uint8Array;
  /** Ends of the records, in order; record i holds key `k{i}`. */
  readonly ends: readonly number[];
  readonly model: Model;
  /** The index with everything, with the first two records only, and without anything. */
  readonly indexes: Readonly<Record<"whole" | "behind" | "lost", IndexRemains>>;
};

/** Five puts of one record a group, and then nothing more: a killed process. */
async function makeHistory(): Promise<History> {
  const sim = new SimStore({ random, segmentBytesMax: 64 * KiB });
  await sim.ready();
  const model = new Model();
  const clients = new ScriptedClients(sim, model);
  const ends: number[] = [];
  let behind: IndexRemains | null = null;
  for (let i = 0; i < 5; i++) {
    const sizeBytes = [200, 0, 60, 30, 90][i] ?? 0;
    await clients.run([{ at: "put", scope, key: `k${i}`, rule: "firstWins", sizeBytes }]);
    ends.push(sim.disk.sizeBytes(segmentPath) ?? 0);
    if (i === 1) behind = sim.home.crash(0);
  }
  const bytes = sim.disk.readStretch(segmentPath, 0, ends[4] ?? 0);
  const whole = sim.home.crash(0);
  sim.calls.switchOff();
  const lost = { state: null, isSuspect: false, isDamaged: false };
  return { bytes, ends, model, indexes: { whole, behind: behind ?? lost, lost } };
}

/** A start on a directory with one segment of these bytes. */
async function startOn(bytes: Uint8Array, index: IndexRemains): Promise<SimStore> {
  const calls = new SimCalls();
  const disk = new SimDisk({ calls, clock: new SimClock(), random });
  disk.makeFolder(`${simDataDir}/segments`);
  disk.create(segmentPath).write(bytes, 0);
  const sim = new SimStore({ random, segmentBytesMax: 64 * KiB }, remainsOf(disk.kill(), index));
  await sim.ready();
  return sim;
}

async function keysFound(sim: SimStore, model: Model): Promise<(string | null)[]> {
  const found: (string | null)[] = [];
  for (let i = 0; i < 5; i++) {
    const bytes = await sim.read(nameOf(scope, `k${i}`));
    const breach = bytes === null ? null : model.judge(scope, `k${i}`, bytes);
    found.push(breach ?? (bytes === null ? null : "whole"));
  }
  return found;
}

/** The file is as it was found, and the part that was not taken lies aside. */
function expectUntouched(sim: SimStore, bytes: Uint8Array, endBytes: number): void {
  expect(sim.disk.sizeBytes(segmentPath)).toBe(bytes.length);
  const now = sim.disk.readStretch(segmentPath, 0, bytes.length);
  expect(Buffer.compare(now, bytes)).toBe(0);
  if (bytes.length === endBytes) return;
  const aside = `${simDataDir}/aside/torn-1-${endBytes}`;
  const kept = sim.disk.readStretch(aside, 0, sim.disk.sizeBytes(aside) ?? 0);
  expect(Buffer.compare(kept, bytes.subarray(endBytes))).toBe(0);
}

const history = await makeHistory();
const [, , third = 0] = history.ends;
const from = history.ends[1] ?? 0;

describe.each(["behind", "lost"] as const)("with an index that is %s", (which) => {
  test("the three last records cut at every byte: those before the cut are there, the file stays as it is", async () => {
    for (let cut = from; cut <= history.bytes.length; cut++) {
      const bytes = history.bytes.slice(0, cut);
      const sim = await startOn(bytes, history.indexes[which]);
      const whole = history.ends.map((end) => (end <= cut ? "whole" : null));
      expect(await keysFound(sim, history.model)).toEqual(whole);
      const end = history.ends.filter((each) => each <= cut).at(-1) ?? filePageBytes;
      expectUntouched(sim, bytes, end);
    }
  });

  test("any tail behind the last record is set aside, never read, and never cut off", async () => {
    const end = history.bytes.length;
    for (let i = 0; i < 200; i++) {
      const tail = random.bytes(1 + random.below(400));
      // Pieces of real records, zeros and noise.
      if (i % 3 === 1) tail.set(history.bytes.subarray(from, from + tail.length));
      if (i % 3 === 2) tail.fill(0);
      const bytes = Buffer.concat([history.bytes, tail]);
      const sim = await startOn(bytes, history.indexes[which]);
      expect(await keysFound(sim, history.model)).toEqual(Array.from({ length: 5 }, () => "whole"));
      expectUntouched(sim, bytes, end);
    }
  });

  test("a torn record is not there in a later rebuild either", async () => {
    for (let at = from; at < history.bytes.length; at += 3) {
      const bytes = history.bytes.slice();
      bytes[at] = (bytes[at] ?? 0) ^ 0x40;
      const sim = await startOn(bytes, history.indexes[which]);
      const first = await keysFound(sim, history.model);
      const remains = sim.kill();
      remains.home.setAside();
      const next = sim.next(remains);
      await next.ready();
      expect(await keysFound(next, history.model)).toEqual(first);
      // Only the last record can be a torn one: damage before a later group is damage.
      const isTorn = at >= (history.ends[3] ?? 0);
      const events = next.notes.map(({ event }) => event);
      expect(events.includes("damaged artifact") && isTorn).toBe(false);
    }
  });
});

test("an index that is ahead of its log is not believed", async () => {
  const sim = await startOn(history.bytes.slice(0, third), history.indexes.whole);
  expect(sim.home.asideCount).toBe(1);
  expect(await keysFound(sim, history.model)).toEqual(["whole", "whole", "whole", null, null]);
});

test("damage in the middle of the last file costs only the damaged record when the index is made anew", async () => {
  const bytes = history.bytes.slice();
  const at = (history.ends[0] ?? 0) + 3;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  const sim = await startOn(bytes, history.indexes.lost);
  expect(await keysFound(sim, history.model)).toEqual(["whole", null, "whole", "whole", "whole"]);
});

test("what a process left whose sync had failed is durable before it is served", async () => {
  const sim = new SimStore({ random });
  await sim.ready();
  const model = new Model();
  // The process dies before it can say what became of the group.
  sim.calls.fail({ at: sim.calls.count + 2, times: "forever", code: "EIO", effect: 0 });
  await new ScriptedClients(sim, model).run([
    { at: "put", scope, key: "k", rule: "firstWins", sizeBytes: 400 },
  ]);
  model.cut();
  const second = sim.next(sim.kill());
  expect(await judgeStart(second, model)).toEqual([]);
  expect(model.possible(scope, "k")).toHaveLength(1);
  const third = second.next(second.powerCut(lostAll, second.home.unflushedCount));
  expect(await judgeStart(third, model)).toEqual([]);
});

test("a start whose first segment cannot be synced fails, and the next one finds the same", async () => {
  const sim = await startOn(history.bytes, history.indexes.behind);
  const remains = sim.kill();
  remains.calls.fail({ at: 1, kind: "sync", times: "once", code: "EIO", effect: 0 });
  const second = sim.next(remains);
  expect(second.ready()).rejects.toThrow("EIO");
  await second.ready().catch(() => {});
  const third = second.next(second.kill());
  expect(await judgeStart(third, history.model)).toEqual([]);
});

test("folders of a new store are durable before anything is acknowledged", async () => {
  const sim = new SimStore({ random });
  await sim.ready();
  const model = new Model();
  await new ScriptedClients(sim, model).run([
    { at: "put", scope, key: "k", rule: "firstWins", sizeBytes: 40 },
  ]);
  expect(model.acknowledgedCount).toBe(1);
  const next = sim.next(sim.powerCut(lostAll, sim.home.unflushedCount));
  expect(await judgeStart(next, model)).toEqual([]);
});
