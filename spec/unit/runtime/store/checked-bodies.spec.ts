import { expect, test } from "bun:test";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { CheckedBodies, checkedBodiesMax } from "../../../../runtime/store/checked-bodies.ts";
import type { Manifest } from "../../../../runtime/store/store.ts";

function row(name: string, changes: Partial<Manifest> = {}): Manifest {
  const numbers = { file: 1, offsetBytes: 4_096, metadataBytes: 40, sizeBytes: 50_000, seq: 1 };
  return {
    id: sha256(name),
    ...numbers,
    version: 1,
    origin: 1,
    digest: 7,
    kind: 1,
    flags: 0,
    ...changes,
  };
}

/** Places as segments have them: some tens of KiB apart, in files of 2^28. */
function placeOf(index: number): number {
  return (1 + Math.floor(index / 1_000)) * 2 ** 28 + 4_096 + (index % 1_000) * 65_544;
}

test("knows when a body was checked, and of no other place", () => {
  const checked = new CheckedBodies();
  checked.put(placeOf(3), row("a"), 1_234.5);
  expect(checked.checkedMs(placeOf(3), row("a"))).toBe(1_234.5);
  expect(checked.checkedMs(placeOf(4), row("a"))).toBeNull();
  checked.put(placeOf(3), row("a"), 2_000);
  expect(checked.checkedMs(placeOf(3), row("a"))).toBe(2_000);
  checked.drop(placeOf(3));
  expect(checked.checkedMs(placeOf(3), row("a"))).toBeNull();
});

test("a row that names the place of another, or more of it, was not checked", () => {
  const checked = new CheckedBodies();
  checked.put(placeOf(3), row("a"), 1);
  for (const other of [
    row("b"),
    row("a", { digest: 8 }),
    row("a", { sizeBytes: 50_001 }),
    row("a", { metadataBytes: 41 }),
  ]) {
    expect(checked.checkedMs(placeOf(3), other)).toBeNull();
  }
});

test("keeps nearly all of half as many as it has room for, wherever they lie, and the latest when there are too many", () => {
  const checked = new CheckedBodies();
  const kept = (from: number, to: number): number => {
    let count = 0;
    for (let i = from; i < to; i++) {
      if (checked.checkedMs(placeOf(i), row("a")) === i) count += 1;
    }
    return count;
  };
  const half = checkedBodiesMax / 2;
  for (let i = 0; i < half; i++) checked.put(placeOf(i), row("a"), i);
  expect(kept(0, half)).toBeGreaterThan(0.95 * half);
  for (let i = half; i < 4 * checkedBodiesMax; i++) checked.put(placeOf(i), row("a"), i);
  expect(kept(4 * checkedBodiesMax - half, 4 * checkedBodiesMax)).toBeGreaterThan(0.95 * half);
  // A set that few others fell into still has some.
  expect(kept(0, 2 * checkedBodiesMax)).toBeLessThan(0.01 * checkedBodiesMax);
});
