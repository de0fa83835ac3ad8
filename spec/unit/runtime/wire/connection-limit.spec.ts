import { expect, test } from "bun:test";
import { ConnectionLimit, shedIdle } from "../../../../runtime/wire/connection-limit.ts";

function connections(idleSinceMs: readonly (number | null)[]) {
  const cuts: number[] = [];
  const all = idleSinceMs.map((sinceMs, place) => ({
    isIdle: sinceMs !== null,
    idleSinceMs: sinceMs ?? 0,
    cut: () => cuts.push(place),
  }));
  return { all, cuts };
}

test("at the limit the connection that has been idle for longest goes, and never one in use", () => {
  const { all, cuts } = connections([null, 50, 900, 20, null, 700]);
  const limit = new ConnectionLimit(1);
  const leave = limit.join(() => shedIdle(all));
  expect([limit.enter(), limit.enter(), cuts, limit.shed]).toEqual([true, true, [3], 1]);
  leave();
  expect([limit.enter(), limit.refused]).toEqual([false, 1]);
});

test("without an idle connection the new one is refused", () => {
  const { all, cuts } = connections([null, null]);
  const limit = new ConnectionLimit(0);
  limit.join(() => shedIdle(all));
  expect([limit.enter(), cuts, limit.refused]).toEqual([false, [], 1]);
});
