import { expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB } from "../../../../runtime/base/units.ts";
import { IdSet } from "../../../../runtime/store/id-set.ts";

test("a set says what a Set says, however far it grew, and after it was saved and restored", () => {
  const random = seededRandom(1);
  const [set, model] = [new IdSet(256 * KiB), new Set<number>()];
  for (let i = 0; i < 20_000; i++) {
    const key = 1 + random.below(30_000) * 4_294_967_296;
    expect(set.add(key)).toBe(!model.has(key));
    model.add(key);
  }
  const restored = new IdSet(256 * KiB);
  expect(restored.restore(saved(set))).toBe(set.savedBytes);
  for (let i = 0; i < 30_000; i++) {
    const key = 1 + i * 4_294_967_296;
    expect(set.has(key)).toBe(model.has(key));
    expect(restored.has(key)).toBe(model.has(key));
  }
  expect(restored.count).toBe(model.size);
});

function saved(set: IdSet): Uint8Array {
  // Off its alignment, as it lies in a file.
  const into = new Uint8Array(3 + set.savedBytes);
  set.saveInto(into, 3);
  return into.subarray(3);
}

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
