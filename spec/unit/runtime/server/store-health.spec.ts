import { expect, test } from "bun:test";
import { NodeLife } from "../../../../runtime/observe/node-status.ts";
import { reportStore } from "../../../../runtime/server/store-health.ts";
import type { Store, StoreCondition, StoreState } from "../../../../runtime/store/store.ts";

const livenessMs = 60_000;
const calm: StoreCondition = {
  stall: null,
  stallCount: 0,
  isDiskFull: false,
  isIndexSuspect: false,
  isWithoutBallast: false,
};

/** What the cycle under way and the last whole one have found. */
function scrubWith(now: number | null, last: number | null) {
  const cycle = now === null ? null : { damagedArtifacts: now };
  const lastCycle = last === null ? null : { damagedArtifacts: last };
  return { report: () => ({ cycle, lastCycle }) };
}

const cleanScrub = scrubWith(null, null);

function makeLife(): NodeLife {
  const identity = { tenant: "t", region: "r", nodeUrl: "http://a:1", version: "0" };
  return new NodeLife({ ...identity, isInsecure: false }, () => null);
}

/** What a node that serves says of a store like this. */
function reported(state: StoreState, condition: Partial<StoreCondition>, scrub = cleanScrub) {
  const life = makeLife();
  life.advance("serving");
  const store = { state: () => state, condition: () => ({ ...calm, ...condition }), scrub };
  reportStore(life, store as unknown as Store, livenessMs);
  const codes = life.reasons().map(({ code }) => code);
  const modes = life.degraded.list().map(({ mode }) => mode);
  return { codes, modes, isAlive: life.endOfLife === null };
}

test.each([
  ["a sound one", {}, [], [], true],
  ["a full disk", { isDiskFull: true }, [], ["disk_full"], true],
  ["no ballast", { isWithoutBallast: true }, [], ["no_ballast"], true],
  ["an index in doubt", { isIndexSuspect: true }, [], ["index_suspect"], true],
  ["a stall", { stall: stallFor(5_000) }, ["store_wedged"], ["store_wedged"], true],
  ["a stall that lasts", { stall: stallFor(60_000) }, ["store_wedged"], ["store_wedged"], false],
] as const)("a store that serves with %s", (_, condition, codes, modes, isAlive) => {
  const found = reported({ at: "serving" }, condition);
  expect(found).toEqual({ codes: [...codes], modes: [...modes], isAlive });
});

test("a store that takes no writes is a reason and a mode; one that recovers is a reason", () => {
  expect(reported({ at: "readOnly", reason: "EIO", isFull: false }, {})).toEqual({
    codes: ["store_read_only"],
    modes: ["read_only"],
    isAlive: true,
  });
  expect(reported({ at: "readOnly", reason: "ENOSPC", isFull: true }, {})).toEqual({
    codes: [],
    modes: ["disk_full", "read_only"],
    isAlive: true,
  });
  const recovering = { at: "recovering", doneBytes: 0, totalBytes: 0 } as const;
  expect(reported(recovering, {}).codes).toEqual(["store_recovering"]);
});

test.each([
  [1, null, true],
  [null, 1, true],
  [0, 1, true],
  [0, 0, false],
  [null, null, false],
])("a scrub that finds %p now and found %p before", (now, last, isTold) => {
  const { codes, modes } = reported({ at: "serving" }, {}, scrubWith(now, last));
  expect([codes, modes]).toEqual([[], isTold ? ["scrub_damage"] : []]);
});

test("modes and reasons pass with their cause", () => {
  const life = makeLife();
  life.advance("serving");
  let condition: StoreCondition = { ...calm, stall: stallFor(70_000), isDiskFull: true };
  const parts = { state: () => ({ at: "serving" }), condition: () => condition, scrub: cleanScrub };
  const store = parts as unknown as Store;
  reportStore(life, store, livenessMs);
  condition = calm;
  reportStore(life, store, livenessMs);
  expect([life.isReady, life.endOfLife, life.degraded.list()]).toEqual([true, null, []]);
});

function stallFor(forMs: number) {
  return { by: "log", forMs, reason: "the disk does not answer" } as const;
}
