import { expect, test } from "bun:test";
import {
  type KeyOrder,
  type Mix,
  MixedOrder,
  parseMix,
  showMix,
} from "../../../../cli/bench/mix.ts";

const seed = 7;

function draw(options: { mix: Mix; keyOrder?: KeyOrder; seed?: number; count: number }) {
  const order = new MixedOrder({
    keys: 100,
    keyOrder: "uniform",
    seed,
    writes: { next: 0 },
    ...options,
  });
  return Array.from({ length: options.count }, () => {
    order.advance();
    return { operation: order.operation, index: order.index };
  });
}

test.each([
  ["get", { get: 1 }, "get"],
  ["get=90,put=10", { get: 90, put: 10 }, "get=90,put=10"],
  ["miss=1, head=2,get", { get: 1, head: 2, miss: 1 }, "get=1,head=2,miss=1"],
  ["get=0,put=3", { put: 3 }, "put"],
])("%s is read and shown again", (text, mix, shown) => {
  const parsed = parseMix(text);
  expect(parsed).toEqual(mix);
  expect(parsed === null ? "" : showMix(parsed)).toBe(shown);
});

test.each([
  "",
  "get=90;put=10",
  "fill",
  "get=1,get=2",
  "get=-1",
  "get=0",
  "get=1.5",
  "get=9999999",
])("%j is no mix", (text) => expect(parseMix(text)).toBeNull());

test("operations come in their shares and the same seed gives the same order", () => {
  console.log("seed", seed);
  const mix = { get: 70, put: 20, head: 5, miss: 5 };
  const drawn = draw({ mix, count: 20_000 });
  for (const [name, weight] of Object.entries(mix)) {
    const share = drawn.filter(({ operation }) => operation === name).length / drawn.length;
    expect(Math.abs(share - weight / 100)).toBeLessThan(0.015);
  }
  expect(draw({ mix, count: 20_000 })).toEqual(drawn);
  expect(draw({ mix, count: 20_000, seed: seed + 1 })).not.toEqual(drawn);
});

test("every put writes a key of its own, in whatever cell", () => {
  const writes = { next: 0 };
  const shared = { mix: { put: 1 }, keys: 10, keyOrder: "uniform", seed, writes } as const;
  const written = [new MixedOrder(shared), new MixedOrder(shared)].flatMap((order) =>
    Array.from({ length: 50 }, () => {
      order.advance();
      return order.index;
    }),
  );
  expect(new Set(written).size).toBe(100);
});

test("uniform reads ask for every key alike, zipf for a few of them most of the time", () => {
  const counts = (keyOrder: KeyOrder): number[] => {
    const byKey = new Array<number>(100).fill(0);
    for (const { index } of draw({ mix: { get: 1 }, keyOrder, count: 50_000 })) {
      byKey[index] = (byKey[index] ?? 0) + 1;
    }
    return byKey;
  };
  const uniform = counts("uniform");
  expect(Math.min(...uniform)).toBeGreaterThan(400);
  expect(Math.max(...uniform)).toBeLessThan(600);

  const zipf = counts("zipf");
  const sorted = [...zipf].sort((a, b) => b - a);
  // 1 / (1 + 1/2^0.99 + ... + 1/100^0.99) is 19 %, and every key is asked for.
  expect((sorted[0] ?? 0) / 50_000).toBeCloseTo(0.19, 1);
  expect(sorted.at(-1)).toBeGreaterThan(0);
  expect(zipf.slice(0, 5)).not.toEqual(sorted.slice(0, 5));
});
