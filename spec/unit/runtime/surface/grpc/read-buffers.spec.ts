import { expect, test } from "bun:test";
import { KiB, MiB } from "../../../../../runtime/base/units.ts";
import { memoryTiers } from "../../../../../runtime/observe/memory-tier.ts";
import { headRoomBytes, ReadBuffers } from "../../../../../runtime/surface/grpc/read-buffers.ts";

const wholePiece = 256 * KiB + headRoomBytes;
const leastPiece = 8 * KiB + headRoomBytes;

test("pieces become shorter with the number of reads, and no read holds more than its share", () => {
  const buffers = new ReadBuffers(32 * MiB);
  const lengths = Array.from({ length: 200 }, () => buffers.take(64 * MiB).length);
  expect(lengths[0]).toBe(wholePiece);
  expect(lengths.at(-1)).toBe(leastPiece);
  expect(lengths.every((length) => length >= leastPiece && length <= wholePiece)).toBe(true);
  expect(lengths.reduce((sum, length) => sum + length, 0)).toBeLessThan(20 * MiB);
});

test("the shorter memory is, the less reads hold, and they go on", () => {
  const held = memoryTiers.map((tier) => {
    const buffers = new ReadBuffers(32 * MiB);
    buffers.adaptTo(tier);
    const lengths = Array.from({ length: 64 }, () => buffers.take(64 * MiB).length);
    return lengths.reduce((sum, length) => sum + length, 0);
  });
  const [normal = 0, constrained = 0, critical = 0] = held;
  expect(constrained).toBeLessThan(0.7 * normal);
  expect(critical).toBe(64 * leastPiece);
});

test("buffers are kept for the next read, but not when memory is critical", () => {
  const buffers = new ReadBuffers(32 * MiB);
  const first = buffers.take(MiB);
  buffers.giveBack(first, true);
  const again = buffers.take(MiB);
  expect(again).toBe(first);
  buffers.giveBack(again, true);
  buffers.adaptTo("critical");
  buffers.adaptTo("normal");
  expect(buffers.take(MiB)).not.toBe(first);
});
