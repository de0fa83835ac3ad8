import { expect, test } from "bun:test";
import fc from "fast-check";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { type MemoryTier, memoryTiers } from "../../../../runtime/observe/memory-tier.ts";
import {
  ManifestCache,
  manifestCacheEntryBytes,
} from "../../../../runtime/store/manifest-cache.ts";
import type { Manifest } from "../../../../runtime/store/store.ts";

function manifest(key: number, stamp: number): Manifest {
  return {
    id: sha256(`key ${key}`),
    file: stamp,
    offsetBytes: 2 ** 40 + stamp,
    metadataBytes: stamp % 3_300,
    sizeBytes: 2 ** 45 + stamp,
    seq: stamp,
    version: Number.MAX_SAFE_INTEGER - stamp,
    origin: 2 ** 47 + stamp,
    digest: 2 ** 52 - 1 - stamp,
    kind: stamp % 8,
    flags: stamp % 32,
  };
}

type Step = { readonly op: "put" | "get" | "drop" | "clear"; readonly key: number };

test("the cache never answers otherwise than a map that was told the same", () => {
  const step = fc.record({
    op: fc.constantFrom<Step["op"]>("put", "put", "put", "get", "get", "get", "drop"),
    key: fc.nat(60),
  });
  const steps = fc.array(
    fc.oneof({ weight: 60, arbitrary: step }, fc.constant<Step>({ op: "clear", key: 0 })),
    {
      maxLength: 300,
    },
  );
  const sizes = fc.constantFrom(1, 8, 16, 64);
  fc.assert(
    fc.property(steps, sizes, (all, entries) => {
      const cache = new ManifestCache(entries * manifestCacheEntryBytes);
      const map = new Map<number, Manifest>();
      all.forEach(({ op, key }, stamp) => {
        if (op === "put") {
          cache.put(manifest(key, stamp));
          map.set(key, manifest(key, stamp));
        } else if (op === "drop") {
          cache.drop(sha256(`key ${key}`));
          map.delete(key);
        } else if (op === "clear") {
          cache.clear();
          map.clear();
        } else {
          const found = cache.get(sha256(`key ${key}`));
          if (found !== null) expect(found).toEqual(map.get(key) as Manifest);
        }
        expect(cache.count).toBeLessThanOrEqual(Math.min(cache.capacity, map.size));
      });
    }),
    { seed: 3, numRuns: 400 },
  );
});

test("what fits is kept: with room to spare every manifest is found", () => {
  const cache = new ManifestCache(4_096 * manifestCacheEntryBytes);
  for (let key = 0; key < 400; key++) cache.put(manifest(key, key));
  for (let key = 0; key < 400; key++) {
    expect(cache.get(sha256(`key ${key}`))).toEqual(manifest(key, key));
  }
  expect(cache.count).toBe(400);
});

test("what was asked for stays longer than what was not", () => {
  const cache = new ManifestCache(8 * manifestCacheEntryBytes);
  for (let key = 0; key < 8; key++) cache.put(manifest(key, key));
  cache.get(sha256("key 3"));
  for (let key = 100; key < 107; key++) cache.put(manifest(key, key));
  expect(cache.get(sha256("key 3"))).not.toBeNull();
});

test("ids that share their first words are told apart by the last byte", () => {
  const cache = new ManifestCache(64 * manifestCacheEntryBytes);
  const [one, two] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(1)];
  two[31] = 2;
  cache.put({ ...manifest(1, 1), id: one });
  expect(cache.get(two)).toBeNull();
  expect(cache.get(one)?.seq).toBe(1);
});

test("a cache that grows with use keeps what it held, up to the size it was given", () => {
  const entries = 65_536;
  const cache = new ManifestCache(entries * manifestCacheEntryBytes);
  expect(cache.capacity).toBe(entries);
  const count = 20_000;
  for (let key = 0; key < count; key++) cache.put(manifest(key, key));
  let found = 0;
  for (let key = 0; key < count; key++) {
    const held = cache.get(sha256(`key ${key}`));
    if (held === null) continue;
    found += 1;
    expect(held).toEqual(manifest(key, key));
  }
  expect(found).toBe(cache.count);
  // Sets of eight that are half full on average lose some: 2 % of them have more than eight.
  expect(found).toBeGreaterThan(count * 0.97);
});

/** 512 KiB of entries that are all there, as far as sets of eight allow. */
function filledCache(): { cache: ManifestCache; entries: number } {
  const entries = 4_096;
  const cache = new ManifestCache(entries * manifestCacheEntryBytes);
  for (let key = 0; key < entries / 2; key++) cache.put(manifest(key, key));
  return { cache, entries };
}

test("short of memory the cache keeps half of its room and takes nothing new", () => {
  const { cache, entries } = filledCache();
  cache.adaptTo("constrained");
  expect(cache.capacity).toBe(entries / 2);
  // Half of the places for as many entries: some sets of eight have too many.
  expect(cache.count).toBeGreaterThan(entries / 2 / 1.3);
  const kept = cache.count;
  for (let key = 0; key < entries / 2; key++) {
    const found = cache.get(sha256(`key ${key}`));
    if (found !== null) expect(found).toEqual(manifest(key, key));
  }
  for (let key = entries; key < 2 * entries; key++) cache.put(manifest(key, key));
  expect(cache.count).toBe(kept);
});

test("an entry that is there follows its row, however short memory is", () => {
  const { cache } = filledCache();
  cache.adaptTo("constrained");
  const key = Array.from({ length: 100 }, (_, i) => i).find(
    (i) => cache.get(sha256(`key ${i}`)) !== null,
  );
  cache.put(manifest(key ?? -1, 77));
  expect(cache.get(sha256(`key ${key}`))).toEqual(manifest(key ?? -1, 77));
});

test("when memory is critical the cache is empty, and afterwards it fills again", () => {
  const { cache, entries } = filledCache();
  cache.adaptTo("critical");
  cache.put(manifest(1, 1));
  expect([cache.count, cache.capacity]).toEqual([0, 8]);
  cache.adaptTo("constrained");
  cache.put(manifest(1, 1));
  expect(cache.count).toBe(0);
  cache.adaptTo("normal");
  expect(cache.capacity).toBe(entries);
  for (let key = 0; key < entries / 2; key++) cache.put(manifest(key, key));
  expect(cache.count).toBeGreaterThan(entries / 2 / 1.1);
});

test("through any tiers the cache never answers otherwise than a map that was told the same", () => {
  const step = fc.record({ key: fc.nat(60), tier: fc.constantFrom<MemoryTier>(...memoryTiers) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const cache = new ManifestCache(64 * manifestCacheEntryBytes);
      const map = new Map<number, Manifest>();
      for (const [stamp, { key, tier }] of steps.entries()) {
        if (key % 10 === 0) cache.adaptTo(tier);
        cache.put(manifest(key, stamp));
        map.set(key, manifest(key, stamp));
        for (const known of map.keys()) {
          const found = cache.get(sha256(`key ${known}`));
          if (found !== null) expect(found).toEqual(map.get(known) as Manifest);
        }
        expect(cache.count).toBeLessThanOrEqual(Math.min(cache.capacity, map.size));
      }
    }),
    { seed: 7, numRuns: 100 },
  );
});
