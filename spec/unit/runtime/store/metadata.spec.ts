import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeMetadata,
  encodeMetadata,
  type Metadata,
  metadataBytesMax,
} from "../../../../runtime/store/metadata.ts";

const plain: Metadata = {
  tenant: "tenant",
  namespace: "",
  key: "key",
  sha256: null,
  writer: "",
  attributes: {},
  place: null,
};

function roundTrip(metadata: Metadata): Metadata | null {
  const into = Buffer.alloc(metadataBytesMax + 7, 0xee);
  const end = encodeMetadata(into, 7, metadata);
  expect(end).toBeLessThanOrEqual(into.length);
  return decodeMetadata(into.subarray(7, end));
}

const text = (maxLength: number) => fc.string({ unit: "grapheme", maxLength });
const name = text(60).filter((each) => Buffer.byteLength(each) <= 640);
const attributeText = text(20).filter((each) => !each.includes("\0"));

test("metadata is read as it was written", () => {
  const metadata = fc.record({
    tenant: name,
    namespace: name,
    key: name,
    sha256: fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 })),
    writer: text(30).filter((each) => Buffer.byteLength(each) <= 256),
    attributes: fc
      .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z-]{1,12}$/), attributeText), {
        maxLength: 4,
        selector: ([key]) => key,
      })
      .map((entries) => Object.fromEntries(entries) as Record<string, string>)
      .filter((each) => Buffer.byteLength(JSON.stringify(each)) < 900),
    place: fc.option(
      fc.record({
        file: fc.maxSafeNat(),
        offsetBytes: fc.maxSafeNat(),
        metadataBytes: fc.nat(metadataBytesMax),
      }),
    ),
  });
  fc.assert(
    fc.property(metadata, (each) => {
      expect(roundTrip(each)).toEqual(each);
    }),
    { seed: 1, numRuns: 2_000 },
  );
});

describe("limits", () => {
  test("the longest of everything fits what a record reserves", () => {
    const longest: Metadata = {
      tenant: "t".repeat(640),
      namespace: "n".repeat(640),
      key: "é".repeat(320),
      sha256: new Uint8Array(32),
      writer: "w".repeat(256),
      attributes: { a: "x".repeat(1_021) },
      place: { file: 1, offsetBytes: 2, metadataBytes: 3 },
    };
    expect(roundTrip(longest)).toEqual(longest);
  });

  test.each([
    ["tenant", { ...plain, tenant: "t".repeat(641) }],
    ["key", { ...plain, key: "é".repeat(321) }],
    ["writer", { ...plain, writer: "w".repeat(257) }],
    ["attributes", { ...plain, attributes: { a: "x".repeat(1_022) } }],
  ] as const)("a %s beyond its limit is a bad request, and nothing is cut off", (_, metadata) => {
    const into = Buffer.alloc(2 * metadataBytesMax);
    expect(() => encodeMetadata(into, 0, metadata)).toThrow(
      expect.objectContaining({ code: "badRequest" }),
    );
  });
});

test("metadata cut at any byte, or any bytes at all, never make the reader throw", () => {
  const into = Buffer.alloc(metadataBytesMax);
  const end = encodeMetadata(into, 0, {
    ...plain,
    sha256: new Uint8Array(32).fill(1),
    writer: "w",
    place: { file: 1, offsetBytes: 2, metadataBytes: 3 },
  });
  for (let cut = 0; cut < end; cut++) decodeMetadata(into.subarray(0, cut));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      decodeMetadata(bytes);
    }),
    { seed: 1, numRuns: 2_000 },
  );
});

test("fields that a later version adds are passed over", () => {
  const into = Buffer.alloc(metadataBytesMax);
  const end = encodeMetadata(into, 0, { ...plain, writer: "me" });
  const later = Buffer.concat([into.subarray(0, end), Buffer.from([200, 3, 0, 1, 2, 3])]);
  expect(decodeMetadata(later)).toEqual({ ...plain, writer: "me" });
});
