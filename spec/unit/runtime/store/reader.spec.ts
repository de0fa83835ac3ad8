import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { systemClock } from "../../../../runtime/base/clock.ts";
import { sha256, xxHash3 } from "../../../../runtime/base/digest.ts";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { MiB } from "../../../../runtime/base/units.ts";
import { StoreFiles } from "../../../../runtime/store/files.ts";
import { filePageBytes, fileSeed } from "../../../../runtime/store/format.ts";
import { Reader } from "../../../../runtime/store/reader.ts";
import {
  encodePieceCrcs,
  encodeRecordHeader,
  recordHeaderBytes,
  recordTypes,
  rowDigest,
} from "../../../../runtime/store/record.ts";
import { type Manifest, manifestFlags } from "../../../../runtime/store/store.ts";
import { makeTemporaryFolder } from "../../../support/node-process.ts";

const storeId = new Uint8Array(16).fill(9);
const file = 1;
const random = seededRandom(77);
const metadataBytes = 40;

/** One segment with two small bodies and two that are sent by the kernel, each with its row. */
const folder = makeTemporaryFolder("reader");
const files = new StoreFiles(realDisk, folder);
const bodies = [1_000, 1_000, 40_000, 40_000].map((size) => random.bytes(size));
const rows: Manifest[] = [];

beforeAll(() => {
  const segment = Buffer.alloc(MiB);
  let at = filePageBytes;
  for (const [index, body] of bodies.entries()) {
    rows.push(writeRecord(segment, at, index, body));
    at += recordHeaderBytes + metadataBytes + body.length + 4;
  }
  fs.mkdirSync(path.dirname(files.segmentPath(file)), { recursive: true });
  fs.writeFileSync(files.segmentPath(file), segment);
});

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

function writeRecord(segment: Buffer, at: number, index: number, body: Uint8Array): Manifest {
  const digest = xxHash3(body);
  const stamp = { seq: index + 1, version: index + 1, origin: 5 };
  const id = sha256(`artifact ${index}`);
  const header = {
    type: recordTypes.put,
    flags: 0,
    kind: 1,
    producer: 1,
    metadataBytes,
    startsGroup: true,
    bodyBytes: body.length,
    offsetBytes: at,
    id,
    ...stamp,
    chain: 0,
    metadataCrc: 0,
    digest,
  };
  const crc = encodeRecordHeader(segment, at, header, fileSeed(storeId, file));
  const bodyAt = at + recordHeaderBytes + metadataBytes;
  segment.set(body, bodyAt);
  encodePieceCrcs(segment, bodyAt, body.length, crc);
  const place = { file, offsetBytes: at, metadataBytes, sizeBytes: body.length };
  return { id, ...place, ...stamp, digest: rowDigest(digest), kind: 1, flags: 0 };
}

function openReader() {
  const damaged: Manifest[] = [];
  const reader = new Reader({
    disk: realDisk,
    clock: systemClock,
    files,
    storeId,
    bodyCacheBytesMax: MiB,
    checkLarge: () => Promise.resolve(true),
    onDamage: (row) => damaged.push(row),
  });
  const open = (row: Manifest) => reader.open(row, 0, row.sizeBytes);
  return { reader, open, damaged };
}

function row(index: number): Manifest {
  const found = rows[index];
  if (found === undefined) throw new Error(`There is no row ${index}`);
  return found;
}

test("each row gets its own body, however often it is asked for", () => {
  const { open, damaged } = openReader();
  for (let round = 0; round < 4; round++) {
    for (const index of [0, 1]) {
      expect(open(row(index))).toEqual({ at: "bytes", bytes: new Uint8Array(bodies[index] ?? []) });
    }
    for (const index of [2, 3]) expect(open(row(index)).at).toBe("slice");
  }
  expect(damaged).toEqual([]);
});

test("bytes that were handed out stay as they are while others are read", () => {
  const { open } = openReader();
  const first = open(row(0));
  open(row(1));
  open(row(2));
  expect(first).toEqual({ at: "bytes", bytes: new Uint8Array(bodies[0] ?? []) });
});

describe("a body that is damaged after it was checked", () => {
  test("is believed until its file is doubted, and then checked again before it is sent", () => {
    const { reader, open, damaged } = openReader();
    expect(open(row(2)).at).toBe("slice");
    const mend = flip(row(2).offsetBytes + row(2).sizeBytes);
    try {
      expect(open(row(2)).at).toBe("slice");
      reader.doubt(file + 1);
      expect(open(row(2)).at).toBe("slice");
      reader.doubt(file);
      expect(open(row(2)).at).toBe("damaged");
      // What is whole in the same file is sent after a look, and believed again.
      expect(open(row(3)).at).toBe("slice");
      expect(damaged.map(({ id }) => id)).toEqual([row(2).id]);
    } finally {
      mend();
    }
  });

  test("is not believed for a check that was under way when the file was doubted", async () => {
    const { reader, open } = openReader();
    const large = {
      ...row(2),
      file: 7,
      offsetBytes: 0,
      metadataBytes: 0,
      flags: manifestFlags.large,
    };
    const first = open(large);
    reader.doubt(large.file);
    if (first.at === "check") await first.done;
    const second = open(large);
    expect([first.at, second.at]).toEqual(["check", "check"]);
    if (second.at === "check") await second.done;
    const third = open(large);
    if (third.at === "check") await third.done;
    expect(open(large).at).toBe("slice");
  });
});

/** Flips a bit of the segment; returns what flips it back. */
function flip(atBytes: number): () => void {
  const turn = (): void => {
    const handle = fs.openSync(files.segmentPath(file), "r+");
    const byte = new Uint8Array(1);
    fs.readSync(handle, byte, 0, 1, atBytes);
    byte[0]! ^= 1;
    fs.writeSync(handle, byte, 0, 1, atBytes);
    fs.closeSync(handle);
  };
  turn();
  return turn;
}

// Both bodies of a pair were read before, so that every cache and memo knows their places.
describe.each([
  ["small", 0, 1],
  ["long", 2, 3],
] as const)("a damaged row over %s bodies that were read before", (_, mine, other) => {
  test.each([
    ["the place of another", () => ({ offsetBytes: row(other).offsetBytes })],
    ["more bytes than there are", () => ({ sizeBytes: row(mine).sizeBytes + 100 })],
    ["fewer bytes than there are", () => ({ sizeBytes: row(mine).sizeBytes - 1 })],
    ["longer metadata", () => ({ metadataBytes: metadataBytes + 1 })],
    ["a body of terabytes", () => ({ sizeBytes: row(mine).sizeBytes + 2 ** 40 })],
    ["metadata of gigabytes", () => ({ metadataBytes: metadataBytes + 2 ** 33 })],
    ["another digest", () => ({ digest: row(mine).digest + 1 })],
  ] as const)("that names %s never gives other bytes", (_name, changes) => {
    const { open, damaged } = openReader();
    for (let round = 0; round < 3; round++) {
      open(row(mine));
      open(row(other));
    }
    const found = open({ ...row(mine), ...changes() });
    if (found.at === "bytes") {
      // From the cache, which does not need to know where the body lies in its record.
      expect(changes()).toHaveProperty("metadataBytes");
      expect(found.bytes).toEqual(new Uint8Array(bodies[mine] ?? []));
    } else {
      expect(found.at).toBe("damaged");
      expect(damaged.length).toBeGreaterThan(0);
    }
    expect(open(row(mine)).at).not.toBe("damaged");
  });
});
