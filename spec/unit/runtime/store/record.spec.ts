import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../../runtime/base/digest.ts";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB } from "../../../../runtime/base/units.ts";
import {
  bodyIsWhole,
  compareHeader,
  decodeRecordHeader,
  encodePieceCrcs,
  encodeRecordHeader,
  headerCrc,
  pieceCount,
  type RecordHeader,
  recordBytes,
  recordHeaderBytes,
  recordTypes,
  rowDigest,
} from "../../../../runtime/store/record.ts";
import { manifestFlags } from "../../../../runtime/store/store.ts";

const header: RecordHeader = {
  type: recordTypes.put,
  flags: 18,
  kind: 7,
  producer: 8,
  metadataBytes: 3_300,
  startsGroup: true,
  bodyBytes: 2 ** 40 + 5,
  offsetBytes: 2 ** 27 + 3,
  id: Uint8Array.from({ length: 32 }, (_, i) => i * 7),
  seq: Number.MAX_SAFE_INTEGER,
  version: 2 ** 52 + 1,
  origin: 2 ** 48 - 1,
  chain: 2 ** 32 - 1,
  metadataCrc: 2 ** 31,
  digest: 0xffff_ffff_ffff_fff1n,
};
const seed = 12_345;
const expected = { seed, offsetBytes: header.offsetBytes };

function encoded(at = 0): Buffer {
  const into = Buffer.alloc(at + recordHeaderBytes);
  encodeRecordHeader(into, at, header, seed);
  return into;
}

describe("a record header", () => {
  test("is read as it was written, at any place of a buffer", () => {
    for (const at of [0, 1, 113]) {
      expect(decodeRecordHeader(encoded(at), at, expected)).toEqual(header);
    }
    expect(decodeRecordHeader(encoded(), 0, expected)?.startsGroup).toBe(true);
  });

  test("is refused with any one bit flipped", () => {
    const bytes = encoded();
    for (let bit = 0; bit < 8 * recordHeaderBytes; bit++) {
      const at = bit >> 3;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
      expect(decodeRecordHeader(bytes, 0, expected)).toBeNull();
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
    }
    expect(decodeRecordHeader(bytes, 0, expected)).not.toBeNull();
  });

  test("is refused when it is cut, misplaced, or of another file or store", () => {
    expect(
      decodeRecordHeader(encoded().subarray(0, recordHeaderBytes - 1), 0, expected),
    ).toBeNull();
    expect(decodeRecordHeader(encoded(), 1, expected)).toBeNull();
    expect(decodeRecordHeader(encoded(), 0, { ...expected, offsetBytes: 0 })).toBeNull();
    expect(decodeRecordHeader(encoded(), 0, { ...expected, seed: seed + 1 })).toBeNull();
  });

  test("keeps no hold of the buffer that it was read from", () => {
    const bytes = encoded();
    const read = decodeRecordHeader(bytes, 0, expected);
    bytes.fill(0);
    expect(read).toEqual(header);
  });

  test("gives its CRC, which the next header names", () => {
    const bytes = encoded();
    expect(headerCrc(bytes, 0)).toBe(crc32(bytes.subarray(0, 108), seed));
  });
});

describe("a header compared with the row that names it", () => {
  const row = {
    id: header.id,
    offsetBytes: header.offsetBytes,
    metadataBytes: header.metadataBytes,
    sizeBytes: header.bodyBytes,
    version: header.version,
    origin: header.origin,
    digest: rowDigest(header.digest),
    flags: 0,
  };
  const compare = (bytes: Buffer, changes: Partial<typeof row> = {}, withSeed = seed) => {
    const copy = new Uint8Array(bytes);
    const view = new DataView(copy.buffer);
    return compareHeader(copy, view, { seed: withSeed, row: { ...row, ...changes } });
  };
  const whole = encodedAlive();

  test("is the same when every field is", () => {
    expect(compare(whole)).toBe("same");
  });

  test("is damaged with any one bit flipped, misplaced, or of another file or store", () => {
    for (let bit = 0; bit < 8 * recordHeaderBytes; bit++) {
      const bytes = Buffer.from(whole);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(compare(bytes)).toBe("damaged");
    }
    expect(compare(whole, { offsetBytes: row.offsetBytes + 1 })).toBe("damaged");
    expect(compare(whole, {}, seed + 1)).toBe("damaged");
  });

  test("is another's when id, digest or a length differ, or when it is a deletion", () => {
    const id = new Uint8Array(row.id);
    id[31] = (id[31] ?? 0) ^ 1;
    for (const changes of [
      { id },
      { digest: row.digest + 1 },
      { sizeBytes: row.sizeBytes + 1 },
      { metadataBytes: row.metadataBytes + 1 },
    ]) {
      expect(compare(whole, changes)).toBe("other");
    }
    expect(compare(encodedAlive(manifestFlags.deleted))).toBe("other");
  });

  test("does not vouch for another version, unless the row alone was updated", () => {
    for (const changes of [{ version: row.version + 1 }, { origin: row.origin + 1 }]) {
      expect(compare(whole, changes)).toBe("damaged");
      const flags = manifestFlags.rowOnlyUpdate;
      expect(compare(whole, { ...changes, flags })).toBe("same");
    }
  });

  function encodedAlive(flags = 0): Buffer {
    const into = Buffer.alloc(recordHeaderBytes);
    encodeRecordHeader(into, 0, { ...header, flags }, seed);
    return into;
  }
});

describe("a body", () => {
  const sizes = [0, 1, 256 * KiB - 1, 256 * KiB, 256 * KiB + 1, 600 * KiB];

  test.each(sizes)("of %d bytes agrees with its table, and with no other", (bodyBytes) => {
    const into = Buffer.alloc(bodyBytes + 4 * pieceCount(bodyBytes) + 10);
    into.set(seededRandom(bodyBytes).bytes(Math.min(bodyBytes, 1_000)), 3);
    const end = encodePieceCrcs(into, 3, bodyBytes, seed);
    expect(end).toBe(3 + bodyBytes + 4 * pieceCount(bodyBytes));
    expect(bodyIsWhole(into, 3, bodyBytes, seed)).toBe(true);
    if (bodyBytes === 0) return;
    expect(bodyIsWhole(into, 3, bodyBytes, seed + 1)).toBe(false);
    for (const at of [3, 3 + bodyBytes - 1, end - 1, 3 + (bodyBytes >> 1)]) {
      into[at] = (into[at] ?? 0) ^ 1;
      expect(bodyIsWhole(into, 3, bodyBytes, seed)).toBe(false);
      into[at] = (into[at] ?? 0) ^ 1;
    }
  });

  test("counts in the length of a record only where it follows the header", () => {
    const sizes = { metadataBytes: 50, bodyBytes: 256 * KiB + 1 };
    const bare = recordHeaderBytes + 50;
    expect(recordBytes({ ...sizes, type: recordTypes.put })).toBe(bare + 256 * KiB + 1 + 8);
    expect(recordBytes({ ...sizes, type: recordTypes.reference })).toBe(bare);
  });
});

test("a row carries the low 52 bits of the digest, exactly", () => {
  expect(rowDigest(0xffff_ffff_ffff_ffffn)).toBe(2 ** 52 - 1);
  expect(rowDigest(0xabc0_0000_0000_0001n)).toBe(1);
});
