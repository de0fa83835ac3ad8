import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../../runtime/base/digest.ts";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB } from "../../../../runtime/base/units.ts";
import { filePageBytes } from "../../../../runtime/store/format.ts";
import {
  decodeLargeHeader,
  encodeLargeHeader,
  type LargeHeader,
  largeDigest,
  PieceCrcs,
} from "../../../../runtime/store/large-file.ts";

const header: LargeHeader = {
  storeId: Uint8Array.from({ length: 16 }, (_, i) => i),
  file: 2 ** 40,
  bodyBytes: 2 ** 41 + 7,
  digest: 0xffff_0000_ffff_0001n,
  seed: 2 ** 32 - 1,
  kind: 3,
  producer: 4,
  id: new Uint8Array(32).fill(5),
  metadata: {
    tenant: "t",
    namespace: "n",
    key: "k",
    sha256: null,
    writer: "w",
    attributes: { a: "b" },
    place: null,
  },
};

describe("the first page of a large file", () => {
  test("is read as it was written", () => {
    expect(decodeLargeHeader(encodeLargeHeader(header))).toEqual(header);
  });

  test("is refused with any one bit flipped", () => {
    const page = encodeLargeHeader(header);
    for (let bit = 0; bit < 8 * filePageBytes; bit++) {
      page[bit >> 3] = (page[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeLargeHeader(page)).toBeNull();
      page[bit >> 3] = (page[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    }
  });

  test("is refused when it is empty or cut: an upload that never ended", () => {
    expect(decodeLargeHeader(new Uint8Array(filePageBytes))).toBeNull();
    expect(decodeLargeHeader(encodeLargeHeader(header).subarray(0, 100))).toBeNull();
  });
});

describe("piece CRCs", () => {
  const piece = 256 * KiB;
  const body = new Uint8Array(3 * piece + 12_345);
  body.set(seededRandom(1).bytes(50_000), piece - 20_000);

  function tableOf(chunkSizes: () => number, bytes: Uint8Array): Uint8Array {
    const crcs = new PieceCrcs(77);
    for (let at = 0; at < bytes.length; ) {
      const size = chunkSizes();
      crcs.update(bytes.subarray(at, at + size));
      at += size;
    }
    expect(crcs.totalBytes).toBe(bytes.length);
    return crcs.finish();
  }

  const expected = Buffer.alloc(16);
  for (let i = 0; i < 4; i++) {
    expected.writeUInt32LE(crc32(body.subarray(i * piece, (i + 1) * piece), 77), 4 * i);
  }

  test.each([1_000, 4_097, 65_536, piece - 1, piece, piece + 1, 10 * piece])(
    "do not depend on chunks of %d bytes",
    (size) => {
      expect(
        Buffer.compare(
          tableOf(() => size, body),
          expected,
        ),
      ).toBe(0);
    },
  );

  test("do not depend on chunks of random sizes, empty ones among them", () => {
    const random = seededRandom(9);
    const table = tableOf(() => random.below(3) * random.below(90_000), body);
    expect(Buffer.compare(table, expected)).toBe(0);
  });

  test("have no entry for an empty body, and one for a whole piece", () => {
    expect(tableOf(() => 1, new Uint8Array(0)).length).toBe(0);
    expect(tableOf(() => piece, new Uint8Array(piece)).length).toBe(4);
  });

  test("grow beyond the pieces that were expected", () => {
    expect(tableOf(() => piece, new Uint8Array(70 * piece)).length).toBe(4 * 70);
  });

  test("make a digest that depends on the length too", () => {
    expect(largeDigest(1, expected)).not.toBe(largeDigest(2, expected));
  });
});
