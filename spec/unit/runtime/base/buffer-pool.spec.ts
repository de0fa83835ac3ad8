import { expect, test } from "bun:test";
import { BufferPool } from "../../../../runtime/base/buffer-pool.ts";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB, MiB } from "../../../../runtime/base/units.ts";

test("a buffer is large enough and wastes a fifth at most", () => {
  const pool = new BufferPool(0);
  const random = seededRandom(1);
  for (let i = 0; i < 1_000; i++) {
    const bytes = 1 + random.below(4 * MiB);
    const { length } = pool.take(bytes);
    expect(length).toBeGreaterThanOrEqual(bytes);
    expect(length).toBeLessThanOrEqual(Math.max(4 * KiB, bytes * 1.25));
  }
});

test("what was given back is lent again, to one at a time", () => {
  const pool = new BufferPool(1 * MiB);
  const first = pool.take(16 * KiB);
  pool.give(first.subarray(10, 20));
  expect(pool.idleBytes).toBe(16 * KiB);
  const second = pool.take(15 * KiB);
  const third = pool.take(15 * KiB);
  expect(second.buffer).toBe(first.buffer);
  expect(third.buffer).not.toBe(first.buffer);
  expect(pool.idleBytes).toBe(0);
});

test("twice given, or never lent, is not taken", () => {
  const pool = new BufferPool(1 * MiB);
  const lent = pool.take(5 * KiB);
  pool.give(lent);
  pool.give(lent);
  pool.give(new Uint8Array(8 * KiB));
  expect(pool.idleBytes).toBe(lent.length);
});

test("beyond its room a buffer is freed at once", () => {
  const pool = new BufferPool(100 * KiB);
  const buffers = Array.from({ length: 10 }, () => pool.take(16 * KiB));
  for (const buffer of buffers) pool.give(buffer);
  expect(pool.idleBytes).toBe(96 * KiB);
  expect(buffers.at(-1)?.length).toBe(0);
});

test("told to keep less it frees the rest at once, and keeps no more until it is told otherwise", () => {
  const pool = new BufferPool(100 * KiB);
  const buffers = [8, 16, 16, 32].map((kibibytes) => pool.take(kibibytes * KiB));
  const lent = pool.take(16 * KiB);
  for (const buffer of buffers) pool.give(buffer);
  pool.keep(0.5);
  expect(pool.idleBytes).toBeLessThanOrEqual(50 * KiB);
  expect(pool.idleBytes).toBeGreaterThan(0);
  pool.keep(0);
  pool.give(lent);
  expect(pool.idleBytes).toBe(0);
  expect(lent.length).toBe(0);
  pool.keep(1);
  pool.give(pool.take(16 * KiB));
  expect(pool.idleBytes).toBe(16 * KiB);
});
