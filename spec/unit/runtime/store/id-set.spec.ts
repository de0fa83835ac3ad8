import { expect, test } from "bun:test";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB } from "../../../../runtime/base/units.ts";
import { IdSet } from "../../../../runtime/store/id-set.ts";
import { idPrefix } from "../../../../runtime/store/identity.ts";

/** Pieces of hashes, as ids have them. */
const keys = Array.from({ length: 30_000 }, (_, i) => idPrefix(sha256(`key ${i}`)));
/** Of all look-ups of what is not there. */
const wrongMax = 3;

test.each([false, true])(
  "a set says what a Set says but once in ten thousand, and after it was saved and restored, whole from the start: %p",
  (isWhole) => {
    const random = seededRandom(1);
    const [set, model] = [new IdSet(256 * KiB, isWhole), new Set<number>()];
    let wrong = 0;
    for (let i = 0; i < 20_000; i++) {
      const key = keys[random.below(keys.length)]!;
      if (set.add(key) === model.has(key)) wrong += 1;
      model.add(key);
    }
    const restored = new IdSet(256 * KiB, isWhole);
    expect(restored.restore(saved(set))).toBe(set.savedBytes);
    for (const key of keys) {
      expect(restored.has(key)).toBe(set.has(key));
      if (model.has(key)) expect(set.has(key)).toBe(true);
      else if (set.has(key)) wrong += 1;
    }
    expect(wrong).toBeLessThanOrEqual(wrongMax);
    expect(restored.count).toBe(set.count);
  },
);

function saved(set: IdSet): Uint8Array {
  // Off its alignment, as it lies in a file.
  const into = new Uint8Array(3 + set.savedBytes);
  set.saveInto(into, 3);
  return into.subarray(3);
}

test("a whole set is as large as it gets before anything is in it, and another one small", () => {
  const [whole, small] = [new IdSet(256 * KiB, true), new IdSet(256 * KiB)];
  expect(whole.savedBytes).toBeGreaterThanOrEqual(256 * KiB);
  expect(small.savedBytes).toBeLessThan(16 * KiB);
  const before = whole.savedBytes;
  for (const key of keys) whole.add(key);
  expect(whole.savedBytes).toBe(before);
});

test("a full set takes nothing more and goes on answering", () => {
  const set = new IdSet(8 * KiB);
  let taken = 0;
  for (let key = 1; key <= 5_000; key++) if (set.add(key)) taken += 1;
  expect(set.isFull).toBe(true);
  expect(taken).toBe(set.count);
  expect(set.count).toBeLessThan(2_048);
  expect(set.has(1)).toBe(true);
  expect(set.has(5_000)).toBe(false);
});

test("what cannot be a set of this size is not taken", () => {
  const set = new IdSet(8 * KiB);
  set.add(7);
  for (const bytes of [new Uint8Array(0), new Uint8Array(16 * KiB), saved(set).subarray(1)]) {
    expect(set.restore(bytes)).toBe(-1);
  }
  expect(set.has(7)).toBe(true);
});
