import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { KiB } from "../../../../runtime/base/units.ts";
import {
  BodyCache,
  type CachedRow,
  cachedBodyBytesMax,
} from "../../../../runtime/store/body-cache.ts";

const segmentBytes = 2 ** 28;

function body(key: number, length: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => (key * 31 + i * 7) & 0xff);
}

function rowOf(key: number, sizeBytes: number): CachedRow {
  return { id: sha256(`artifact ${key}`), sizeBytes, digest: 2 ** 51 + key };
}

function lengthOf(key: number): number {
  return 1 + ((key * 7_919) % cachedBodyBytesMax);
}

test("the cache answers with the bytes that were put, or not at all, and holds no more than it was given", () => {
  const steps = fc.array(
    fc.record({ op: fc.constantFrom("put", "offer", "get", "get", "drop"), key: fc.nat(80) }),
    { maxLength: 300 },
  );
  const sizes = fc.constantFrom(64 * KiB, 300 * KiB, 1_024 * KiB);
  fc.assert(
    fc.property(steps, sizes, (all, maxBytes) => {
      const cache = new BodyCache(maxBytes);
      const dropped = new Set<number>();
      for (const { op, key } of all) {
        const bytes = body(key, lengthOf(key));
        if (op === "drop") cache.drop(key);
        else if (op === "put") cache.put(key, rowOf(key, bytes.length), bytes);
        else if (op === "offer") cache.offer(key, rowOf(key, bytes.length), bytes);
        if (op === "drop") dropped.add(key);
        else if (op !== "get") dropped.delete(key);
        const found = cache.get(key, rowOf(key, lengthOf(key)));
        if (op === "put") expect(found).not.toBeNull();
        if (dropped.has(key)) expect(found).toBeNull();
        if (found !== null) expect(Buffer.compare(found, bytes)).toBe(0);
        expect(cache.heldBytes).toBeLessThanOrEqual(maxBytes);
      }
    }),
    { seed: 5, numRuns: 200 },
  );
});

test("a body that was handed out keeps its bytes while everything else is turned over", () => {
  const cache = new BodyCache(64 * KiB);
  cache.put(1, rowOf(1, 1_000), body(1, 1_000));
  const handedOut = cache.get(1, rowOf(1, 1_000));
  for (let key = 2; key < 500; key++) cache.put(key, rowOf(key, 1_000), body(key, 1_000));
  expect(cache.get(1, rowOf(1, 1_000))).toBeNull();
  expect(handedOut).toEqual(body(1, 1_000));
});

test("what is asked for once is not kept, what is asked for twice is", () => {
  const cache = new BodyCache(1_024 * KiB);
  cache.offer(7 * segmentBytes + 64, rowOf(7, 100), body(7, 100));
  expect(cache.count).toBe(0);
  cache.offer(7 * segmentBytes + 64, rowOf(7, 100), body(7, 100));
  expect(cache.get(7 * segmentBytes + 64, rowOf(7, 100))).toEqual(body(7, 100));
});

// Bodies of one size lie at even distances: no distance may fold many of them together.
test.each([160, 1_216, 1_607, 2_455, 14_322, 32_768])(
  "most of 2,000 places %d bytes apart are known the second time",
  (strideBytes) => {
    const cache = new BodyCache(4_096 * KiB);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 2_000; i++) {
        cache.offer(3 * segmentBytes + i * strideBytes, rowOf(i, 1_000), body(i, 1_000));
      }
    }
    expect(cache.count).toBeGreaterThan(1_600);
  },
);

test("bodies of one byte are bounded in number too", () => {
  const cache = new BodyCache(1_024 * KiB);
  for (let key = 0; key < 20_000; key++) cache.put(key, rowOf(key, 1), body(key, 1));
  expect(cache.count).toBeLessThanOrEqual((1_024 * KiB) / 128);
  expect(cache.heldBytes).toBeLessThanOrEqual(1_024 * KiB);
});

test("a body in use outlives a stream of others that is larger than the cache", () => {
  const cache = new BodyCache(1_024 * KiB);
  cache.put(1, rowOf(1, 1_000), body(1, 1_000));
  for (let key = 2; key < 5_000; key++) {
    cache.put(key, rowOf(key, 1_000), body(key, 1_000));
    expect(cache.get(1, rowOf(1, 1_000))).not.toBeNull();
  }
});

test("a place is answered for the artifact that lies there, in its length, and for no other", () => {
  const cache = new BodyCache(64 * KiB);
  cache.put(1, rowOf(1, 1_000), body(1, 1_000));
  cache.put(2, rowOf(2, 1_000), body(2, 1_000));
  const row = rowOf(1, 1_000);
  expect(cache.get(1, { ...row, id: rowOf(2, 1_000).id })).toBeNull();
  expect(cache.get(1, { ...row, sizeBytes: 1_001 })).toBeNull();
  expect(cache.get(1, { ...row, sizeBytes: 999 })).toBeNull();
  expect(cache.get(1, { ...row, digest: row.digest + 1 })).toBeNull();
  expect(cache.get(1, rowOf(1, 1_000))).toEqual(body(1, 1_000));
});

describe("a cache that turned over in vain", () => {
  const bytes = body(1, 1_000);
  const holds = (cache: BodyCache, key: number): boolean => {
    return cache.get(key, rowOf(key, bytes.length)) !== null;
  };
  const ask = (cache: BodyCache, first: number, count: number): void => {
    for (let key = first; key < first + count; key++) {
      if (!holds(cache, key)) cache.offer(key, rowOf(key, bytes.length), bytes);
    }
  };
  const heldOf = (cache: BodyCache, first: number, count: number): number => {
    return Array.from({ length: count }, (_, i) => first + i).filter((key) => holds(cache, key))
      .length;
  };
  const turnOver = (): BodyCache => {
    const cache = new BodyCache(1_024 * KiB);
    for (let round = 0; round < 10; round++) ask(cache, 0, 5_000);
    return cache;
  };

  test("takes few of the bodies that do not fit together", () => {
    const fresh = new BodyCache(1_024 * KiB);
    ask(fresh, 0, 5_000);
    ask(fresh, 0, 500);
    expect(heldOf(fresh, 0, 500)).toBeGreaterThan(300);
    expect(heldOf(turnOver(), 4_500, 500)).toBeLessThan(200);
  });

  test("takes those in demand between the others", () => {
    const cache = turnOver();
    for (let round = 0; round < 200; round++) {
      ask(cache, 10_000, 100);
      ask(cache, round * 25, 25);
    }
    expect(heldOf(cache, 10_000, 100)).toBe(100);
  });

  test("soon takes all of what fits again", () => {
    const cache = turnOver();
    for (let round = 0; round < 20; round++) ask(cache, 20_000, 300);
    expect(heldOf(cache, 20_000, 300)).toBeGreaterThan(250);
  });
});

describe("when memory is short", () => {
  const maxBytes = 1_024 * KiB;
  const count = 200;

  function filled(): BodyCache {
    const cache = new BodyCache(maxBytes);
    for (let key = 0; key < count; key++) cache.put(key, rowOf(key, 4_000), body(key, 4_000));
    return cache;
  }

  const heldKeys = (cache: BodyCache): number[] =>
    Array.from({ length: count }, (_, key) => key).filter(
      (key) => cache.get(key, rowOf(key, 4_000)) !== null,
    );

  test("half of the bodies stay, the newest, and no more are held than that", () => {
    const cache = filled();
    cache.adaptTo("constrained");
    expect(cache.heldBytes).toBeLessThanOrEqual(maxBytes / 2);
    expect(cache.count).toBeGreaterThan(count / 3);
    expect(heldKeys(cache)).toContain(count - 1);
    for (let key = 0; key < count; key++) cache.put(key, rowOf(key, 4_000), body(key, 4_000));
    expect(cache.heldBytes).toBeLessThanOrEqual(maxBytes / 2);
  });

  test("none stay when it is critical, none come, and afterwards they come again", () => {
    const cache = filled();
    const handedOut = cache.get(count - 1, rowOf(count - 1, 4_000));
    cache.adaptTo("critical");
    cache.put(1, rowOf(1, 4_000), body(1, 4_000));
    expect([cache.count, cache.heldBytes, heldKeys(cache)]).toEqual([0, 0, []]);
    expect(handedOut).toEqual(body(count - 1, 4_000));
    cache.adaptTo("normal");
    cache.put(1, rowOf(1, 4_000), body(1, 4_000));
    expect(heldKeys(cache)).toEqual([1]);
  });

  test("the smallest cache keeps its one chunk until it is critical", () => {
    const cache = new BodyCache(64 * KiB);
    cache.put(1, rowOf(1, 4_000), body(1, 4_000));
    cache.adaptTo("constrained");
    expect(cache.count).toBe(1);
    cache.adaptTo("critical");
    expect(cache.count).toBe(0);
  });
});
