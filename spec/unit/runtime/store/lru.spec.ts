import { expect, test } from "bun:test";
import { Lru } from "../../../../runtime/store/lru.ts";

test("the oldest entry goes first, and one that was asked for is spared once", () => {
  const dropped: string[] = [];
  const lru = new Lru<string, string>(3, (value) => dropped.push(value));
  for (const key of ["a", "b", "c"]) lru.put(key, key, 1);
  lru.get("a");
  lru.put("d", "d", 1);
  expect(dropped).toEqual(["b"]);
  expect(["c", "d"].map((key) => lru.get(key))).toEqual(["c", "d"]);
  lru.put("e", "e", 1);
  expect(dropped).toEqual(["b", "a"]);
  expect(["a", "b", "c", "d", "e"].map((key) => lru.get(key) ?? "")).toEqual([
    "",
    "",
    "c",
    "d",
    "e",
  ]);
});

test("when all were asked for, the oldest of them goes, and never the one that is new", () => {
  const dropped: string[] = [];
  const lru = new Lru<string, string>(3, (value) => dropped.push(value));
  for (const key of ["a", "b", "c"]) {
    lru.put(key, key, 1);
    lru.get(key);
  }
  lru.put("new", "new", 1);
  expect(dropped).toEqual(["a"]);
  lru.put("newer", "newer", 1);
  expect(dropped).toEqual(["a", "b"]);
  expect([lru.get("new"), lru.get("newer"), lru.count]).toEqual(["new", "newer", 3]);
});

test("no more than 64 are spared at a time, however many were asked for", () => {
  const dropped: number[] = [];
  const lru = new Lru<number, number>(1_000, (value) => dropped.push(value));
  for (let key = 0; key < 1_000; key++) {
    lru.put(key, key, 1);
    lru.get(key);
  }
  lru.put(1_000, 1_000, 1);
  expect(dropped).toEqual([64]);
});

test("weights never pass the limit, and as many entries go as it takes", () => {
  const lru = new Lru<number, number>(10);
  for (let key = 0; key < 100; key++) {
    lru.put(key, key, 1 + (key % 5));
    expect(lru.weight).toBeLessThanOrEqual(10);
  }
  lru.put(200, 200, 10);
  expect([lru.count, lru.weight, lru.get(200)]).toEqual([1, 10, 200]);
});

test("a value that can never fit is dropped at once, and with it what it replaces", () => {
  const dropped: string[] = [];
  const lru = new Lru<string, string>(5, (value) => dropped.push(value));
  lru.put("a", "small", 1);
  lru.put("a", "huge", 6);
  expect(dropped).toEqual(["small", "huge"]);
  expect([lru.count, lru.weight]).toEqual([0, 0]);
});

test("a replaced value gives its weight back, and everything is dropped once at the end", () => {
  const dropped: string[] = [];
  const lru = new Lru<string, string>(5, (value) => dropped.push(value));
  lru.put("a", "one", 3);
  lru.put("a", "two", 4);
  lru.drop("none");
  lru.clear();
  lru.clear();
  expect(dropped).toEqual(["one", "two"]);
  expect(lru.weight).toBe(0);
});
