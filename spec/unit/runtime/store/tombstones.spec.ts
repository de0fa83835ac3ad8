import { describe, expect, test } from "bun:test";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { makeScope } from "../../../../runtime/store/identity.ts";
import { Quarantine, Tombstones } from "../../../../runtime/store/tombstones.ts";

const { hash, hashKey } = makeScope("tenant", "space");

describe("tombstones", () => {
  test("only rise, in whatever order they are told of", () => {
    const tombstones = new Tombstones();
    expect(tombstones.versionOf(hashKey)).toBe(0);
    for (const version of [5, 9, 7]) tombstones.raise(hashKey, version);
    expect(tombstones.versionOf(hashKey)).toBe(9);
    expect(tombstones.count).toBe(1);
  });

  test("loaded from an index hide the same scope as those raised by name", () => {
    const tombstones = new Tombstones();
    tombstones.load([{ scopeHash: hash, version: 4, origin: 1, seq: 2 }]);
    expect(tombstones.versionOf(hashKey)).toBe(4);
    expect(tombstones.versionOf(makeScope("tenant", "other").hashKey)).toBe(0);
  });
});

describe("quarantine", () => {
  const id = sha256("one");

  test("holds a version and all before it, and lets a newer one through", () => {
    const quarantine = new Quarantine();
    quarantine.add(id, 5);
    expect([4, 5, 6].map((version) => quarantine.holds(id, version))).toEqual([true, true, false]);
    expect(quarantine.holds(sha256("two"), 1)).toBe(false);
  });

  test("keeps what was found while a group was being written for the next one", () => {
    const quarantine = new Quarantine();
    quarantine.add(id, 1);
    const written = quarantine.fresh().length;
    quarantine.add(sha256("two"), 2);
    quarantine.settle(written);
    expect(quarantine.fresh().map(({ version }) => version)).toEqual([2]);
    expect(quarantine.holds(id, 1)).toBe(true);
  });

  test("keeps an id of its own, whatever becomes of the buffer that it came in", () => {
    const quarantine = new Quarantine();
    const buffer = id.slice();
    quarantine.add(buffer, 1);
    buffer.fill(0);
    expect(quarantine.holds(id, 1)).toBe(true);
    expect(Buffer.compare(quarantine.fresh()[0]?.id ?? buffer, id)).toBe(0);
  });
});
