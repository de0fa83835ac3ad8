import { expect, test } from "bun:test";
import { Contents } from "../../../../../cli/bench/contents.ts";
import { Blobs } from "../../../../../cli/bench/grpc/blobs.ts";
import { sha256 } from "../../../../../runtime/base/digest.ts";
import { MiB } from "../../../../../runtime/base/units.ts";

const contents = new Contents(1);
const space = { name: "read", seed: 1 };

function whole(blobs: Blobs, index: number): Buffer {
  const bytes = Buffer.alloc(blobs.sizeBytes);
  blobs.copy({ index, fromBytes: 0 }, bytes, 0, bytes.length);
  return bytes;
}

test.each([17, 1_024, 3 * MiB + 5])(
  "a blob of %d bytes has the digest that is told",
  (sizeBytes) => {
    const blobs = new Blobs(contents, sizeBytes, space);
    for (const index of [0, 1, 70_000]) {
      const hash = Buffer.from(sha256(whole(blobs, index))).toString("hex");
      expect(blobs.hashOf(index)).toBe(hash);
    }
  },
);

test("blobs of other numbers, sizes and spaces are others", () => {
  const hashes = [
    new Blobs(contents, 1_024, space).hashOf(0),
    new Blobs(contents, 1_024, space).hashOf(1),
    new Blobs(contents, 1_025, space).hashOf(0),
    new Blobs(contents, 1_024, { name: "write", seed: 1 }).hashOf(0),
    new Blobs(contents, 1_024, { name: "read", seed: 2 }).hashOf(0),
  ];
  expect(new Set(hashes).size).toBe(hashes.length);
});

test("any part of a blob is copied and recognised", () => {
  const blobs = new Blobs(contents, 2 * MiB, space);
  const bytes = whole(blobs, 7);
  for (const [fromBytes, length] of [
    [0, 10],
    [1 * MiB - 3, 500_000],
    [2 * MiB - 20, 20],
    [2 * MiB - 9, 5],
    [2 * MiB - 16, 16],
  ] as const) {
    const part = Buffer.alloc(length + 2);
    blobs.copy({ index: 7, fromBytes }, part, 1, length);
    expect(part.subarray(1, length + 1).equals(bytes.subarray(fromBytes, fromBytes + length))).toBe(
      true,
    );
    const at = { index: 7, atBytes: fromBytes };
    expect(blobs.matches(at, part, 1, length + 1)).toBe(true);
    part[length] = (part[length] ?? 0) ^ 1;
    expect(blobs.matches(at, part, 1, length + 1)).toBe(false);
  }
  const last = Buffer.from(bytes.subarray(-16));
  expect(blobs.matches({ index: 8, atBytes: 2 * MiB - 16 }, last, 0, 16)).toBe(false);
  expect(blobs.matches({ index: 7, atBytes: 2 * MiB - 15 }, last, 0, 16)).toBe(false);
});
