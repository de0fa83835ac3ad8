import { describe, expect, test } from "bun:test";
import {
  burntEndsMax,
  chainStart,
  decodeFileHeader,
  encodeFileHeader,
  type FileHeader,
  filePageBytes,
  fileSeed,
  getUint64,
  putUint64,
} from "../../../../runtime/store/format.ts";

const header: FileHeader = {
  formatVersion: 1,
  storeId: Uint8Array.from({ length: 16 }, (_, i) => 255 - i),
  file: 2 ** 40 + 1,
  predecessor: 2 ** 40,
  predecessorEndBytes: 2 ** 27,
  createdMs: 1_790_000_000_000,
  burntEnds: [
    { file: 3, endBytes: 4_096 },
    { file: 2 ** 33, endBytes: 2 ** 27 - 1 },
  ],
};

describe("a file header", () => {
  test("is read as it was written, with as many burnt ends as it can name", () => {
    expect(decodeFileHeader(encodeFileHeader(header))).toEqual(header);
    const burntEnds = Array.from({ length: burntEndsMax }, (_, i) => ({
      file: i + 1,
      endBytes: i,
    }));
    expect(decodeFileHeader(encodeFileHeader({ ...header, burntEnds }))?.burntEnds).toEqual(
      burntEnds,
    );
  });

  test("survives any one bit, and the loss of either half of its page", () => {
    const page = encodeFileHeader(header);
    for (let bit = 0; bit < 8 * filePageBytes; bit += 7) {
      const damaged = page.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeFileHeader(damaged)).toEqual(header);
    }
    expect(decodeFileHeader(page.slice().fill(0, 0, filePageBytes / 2))).toEqual(header);
    expect(decodeFileHeader(page.slice().fill(0, filePageBytes / 2))).toEqual(header);
  });

  test("is refused when the same bit of both copies is wrong, at every bit that counts", () => {
    const page = encodeFileHeader(header);
    const half = filePageBytes / 2;
    for (let bit = 0; bit < 8 * half; bit++) {
      const at = bit >> 3;
      for (const copy of [at, at + half]) page[copy] = (page[copy] ?? 0) ^ (1 << (bit & 7));
      expect(decodeFileHeader(page)).toBeNull();
      for (const copy of [at, at + half]) page[copy] = (page[copy] ?? 0) ^ (1 << (bit & 7));
    }
  });

  test("is refused when it is cut", () => {
    const page = encodeFileHeader(header);
    expect(decodeFileHeader(page.subarray(0, filePageBytes - 1))).toBeNull();
    expect(decodeFileHeader(new Uint8Array(filePageBytes))).toBeNull();
  });

  test("starts a chain that no other header starts", () => {
    expect(chainStart(header)).toBe(chainStart({ ...header }));
    expect(chainStart(header)).not.toBe(chainStart({ ...header, createdMs: 1 }));
  });
});

test("the seed of a file differs by store and by number", () => {
  const other = header.storeId.slice();
  other[0] = 0;
  const seeds = [fileSeed(header.storeId, 1), fileSeed(header.storeId, 2), fileSeed(other, 1)];
  expect(new Set(seeds).size).toBe(3);
});

test("whole numbers up to 2^53-1 are kept exactly", () => {
  const view = new DataView(new ArrayBuffer(8));
  for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER]) {
    putUint64(view, 0, value);
    expect(getUint64(view, 0)).toBe(value);
  }
});
