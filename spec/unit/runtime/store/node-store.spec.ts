import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { GiB, MiB } from "../../../../runtime/base/units.ts";
import type { Change, Outcome } from "../../../../runtime/store/store.ts";
import { Model } from "../../../support/model.ts";
import { drive, turn } from "../../../support/sim-clock.ts";
import { SimStore } from "../../../support/sim-store.ts";
import { judgeStart } from "../../../support/sim-store-run.ts";
import { nameOf, ScriptedClients } from "../../../support/sim-store-script.ts";

const scope = "a/one";
const put = { at: "put", scope, rule: "lastWins", sizeBytes: 100 } as const;

async function start(seed = 1): Promise<{ sim: SimStore; model: Model; clients: ScriptedClients }> {
  const sim = new SimStore({ random: seededRandom(seed) });
  await sim.ready();
  const model = new Model();
  return { sim, model, clients: new ScriptedClients(sim, model) };
}

function putOf(key: string, body: Uint8Array): Change {
  return {
    op: "put",
    name: nameOf(scope, key),
    kind: "keyValue",
    sha256: null,
    attributes: {},
    writer: "",
    rule: "lastWins",
    contentType: "application/octet-stream",
    body,
  };
}

describe("a group that fails", () => {
  test("answers nobody that a key is absent because of a delete in that group", async () => {
    const { sim, clients } = await start();
    await clients.run([{ ...put, key: "k" }]);
    sim.calls.fail({ at: sim.calls.count + 2, times: "once", code: "EIO", effect: 0 });
    const remove: Change = { op: "delete", name: nameOf(scope, "k"), kind: "keyValue" };
    const both = Promise.allSettled([sim.store.commit(remove), sim.store.commit(remove)]);
    const settled = (await drive(sim.clock, both))?.value ?? [];
    expect(sim.calls.failed.length).toBe(1);
    expect(settled.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(sim.store.find(nameOf(scope, "k"))).not.toBeNull();
  });

  test("refuses its waiters and lets the next group through a new segment", async () => {
    const { sim, model, clients } = await start();
    await clients.run([{ ...put, key: "k" }]);
    sim.calls.fail({ at: sim.calls.count + 2, times: "once", code: "EIO", effect: 0 });
    await clients.run([{ ...put, key: "k" }, { at: "wait" }, { ...put, key: "k" }]);
    await clients.judgeReads();
    expect(clients.breaches).toEqual([]);
    expect(model.acknowledgedCount).toBe(2);
    const next = sim.next(sim.kill());
    expect(await judgeStart(next, model)).toEqual([]);
  });
});

test("changes of one group are one write, one sync and one transaction", async () => {
  const { sim } = await start();
  const before = sim.calls.count;
  const bodies = Array.from({ length: 50 }, (_, i) => new Uint8Array(i));
  const puts = Promise.all(bodies.map((body, i) => sim.store.commit(putOf(`k${i}`, body))));
  const outcomes = (await drive(sim.clock, puts))?.value as Outcome[];
  expect(outcomes.every(({ at }) => at === "stored")).toBe(true);
  const kinds = sim.calls.trace.slice(before).map(({ kind }) => kind);
  // A group of 50 records passes the small segment of the simulation, so a new one comes first.
  expect(kinds.filter((kind) => kind === "indexApply").length).toBe(1);
  expect(kinds.slice(-3)).toEqual(["write", "sync", "indexApply"]);
});

test("a store that is closed while it heals stays closed", async () => {
  for (let steps = 0; steps < 40; steps++) {
    const { sim, clients } = await start(steps);
    await clients.run([{ ...put, key: "k" }]);
    sim.home.damage();
    await clients.run([{ ...put, key: "k" }]);
    for (let step = 0; step < steps && sim.store.state().at !== "serving"; step++) {
      sim.clock.step();
      await turn();
    }
    await drive(sim.clock, sim.store.close());
    for (let step = 0; step < 60 && sim.clock.step(); step++) await turn();
    expect(sim.store.state()).toEqual({ at: "closed" });
  }
});

test("a corrupt index under a running store is rebuilt from the log, and nothing is lost", async () => {
  const { sim, model, clients } = await start();
  await clients.run([{ ...put, key: "k1" }, { at: "wait" }, { ...put, key: "k2" }]);
  sim.home.damage();
  await clients.run([{ ...put, key: "k3" }]);
  expect(await sim.until(() => sim.store.state().at === "serving", 5_000)).toBe(true);
  expect(sim.home.asideCount).toBe(1);
  await clients.judgeReads();
  await clients.run([{ ...put, key: "k4" }]);
  expect(model.acknowledgedCount).toBeGreaterThanOrEqual(3);
  expect(clients.breaches).toEqual([]);
});

test("a disk that is nearly full refuses puts, while cleans, deletes and reads go on", async () => {
  const { sim, clients } = await start();
  await clients.run([
    { ...put, key: "k1" },
    { ...put, key: "k2" },
  ]);
  sim.disk.capacityBytes = 3 * MiB;
  const refused = await drive(
    sim.clock,
    Promise.allSettled([sim.store.commit(putOf("k3", new Uint8Array(10)))]),
  );
  expect(refused?.value[0]).toMatchObject({ status: "rejected", reason: { code: "full" } });
  await clients.run([{ at: "delete", scope, key: "k1" }]);
  await clients.judgeReads();
  await clients.run([{ at: "clean", scope }]);
  await clients.judgeReads();
  sim.disk.capacityBytes = GiB;
  await clients.run([{ ...put, key: "k1" }]);
  await clients.judgeReads();
  expect(clients.breaches).toEqual([]);
});
