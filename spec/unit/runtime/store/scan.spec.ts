import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB, MiB } from "../../../../runtime/base/units.ts";
import { filePageBytes } from "../../../../runtime/store/format.ts";
import { recordHeaderBytes } from "../../../../runtime/store/record.ts";
import {
  RecordScanner,
  type ScannedRecord,
  type ScanOptions,
} from "../../../../runtime/store/scan.ts";
import { SimClock } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";
import { type BuiltSegment, buildSegment } from "../../../support/sim-store-segment.ts";

const random = seededRandom(1);
const bodyOf = (length: number) => ({ key: `k${length}`, body: random.bytes(length) });
const small = buildSegment([
  [bodyOf(10), bodyOf(0)],
  [bodyOf(33), bodyOf(150)],
  [bodyOf(70)],
  [bodyOf(5), bodyOf(64)],
]);

/** Keys, in order, of what a scan of these bytes gives. */
function scan(bytes: Uint8Array, segment: BuiltSegment, changes: Partial<ScanOptions> = {}) {
  const disk = new SimDisk({ calls: new SimCalls(), clock: new SimClock(), random });
  const file = disk.create("/one.seg");
  file.write(bytes, 0);
  const scanner = new RecordScanner(file, {
    seed: segment.seed,
    startBytes: filePageBytes,
    endBytes: bytes.length,
    chain: segment.chain,
    onDamage: "stop",
    checksBodies: true,
    ...changes,
  });
  const records: ScannedRecord[] = [];
  for (let record = scanner.next(); record !== null; record = scanner.next()) records.push(record);
  return { records, keys: records.map(({ metadata }) => metadata.key), scanner };
}

const search: Partial<ScanOptions> = { onDamage: "search", checksBodies: false };
const keysOf = (segment: BuiltSegment) => segment.records.map(({ key }) => key);

test("a body that is longer than what is read at one time is told whole from torn", () => {
  const long = buildSegment([[bodyOf(10)], [bodyOf(5 * MiB)]]);
  expect(scan(long.bytes, long).keys).toEqual(keysOf(long));
  const torn = Uint8Array.from(long.bytes);
  torn[torn.length - 2 * MiB]! ^= 1;
  expect(scan(torn, long).keys).toEqual(keysOf(long).slice(0, 1));
  expect(scan(long.bytes.subarray(0, long.bytes.length - 1), long).keys.length).toBe(1);
});

test("a whole segment gives all its records, in order and in their places", () => {
  for (const changes of [{}, search]) {
    const { records, keys } = scan(small.bytes, small, changes);
    expect(keys).toEqual(keysOf(small));
    expect(records.map(({ header }) => header.offsetBytes)).toEqual(
      small.records.map(({ startBytes }) => startBytes),
    );
    expect(records.map(({ endBytes }) => endBytes)).toEqual(
      small.records.map(({ endBytes }) => endBytes),
    );
    expect(records.map(({ header }) => header.startsGroup)).toEqual([
      true,
      false,
      true,
      false,
      true,
      true,
      false,
    ]);
  }
});

test("a segment that is cut at any byte gives exactly the records before the cut", () => {
  for (let cut = filePageBytes; cut <= small.bytes.length; cut++) {
    const whole = small.records.filter(({ endBytes }) => endBytes <= cut).map(({ key }) => key);
    const bytes = small.bytes.subarray(0, cut);
    expect(scan(bytes, small).keys).toEqual(whole);
    expect(scan(bytes, small, search).keys).toEqual(whole);
    const zeros = Buffer.alloc(small.bytes.length);
    zeros.set(bytes);
    expect(scan(zeros, small).keys.length).toBeLessThanOrEqual(whole.length + 1);
  }
});

test("records of another store, of another file or of another place are never taken", () => {
  const at = small.records[2]?.startBytes ?? 0;
  const body = { key: "foreign", body: new Uint8Array(20) };
  const others = [
    buildSegment([[body]], { storeId: new Uint8Array(16) }),
    buildSegment([[body]], { file: 2 }),
    buildSegment([[body]]),
  ];
  for (const other of others) {
    const foreign = other.bytes.subarray(filePageBytes);
    const bytes = Buffer.concat([small.bytes.subarray(0, at), foreign]);
    expect(scan(bytes, small).keys).toEqual(keysOf(small).slice(0, 2));
    expect(scan(bytes, small, search).keys).toEqual(keysOf(small).slice(0, 2));
  }
});

test("a whole record of this place that does not follow the one before it ends the log", () => {
  const other = buildSegment([[{ key: "other", body: small.bytes.subarray(0, 10) }], [bodyOf(33)]]);
  const at = other.records[1]?.startBytes ?? 0;
  const twin = buildSegment([[{ key: "older", body: small.bytes.subarray(5, 15) }], [bodyOf(33)]]);
  expect(twin.records[1]?.startBytes).toBe(at);
  const bytes = Buffer.concat([twin.bytes.subarray(0, at), other.bytes.subarray(at)]);
  expect(scan(bytes, twin).keys).toEqual(["older"]);
});

describe("a damaged middle", () => {
  const victim = small.records[3] ?? { startBytes: 0, endBytes: 0, key: "" };
  const others = keysOf(small).filter((key) => key !== victim.key);

  test("ends the log where the end is open, whatever bit it is", () => {
    for (let at = victim.startBytes; at < victim.endBytes; at++) {
      const bytes = Buffer.from(small.bytes);
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      expect(scan(bytes, small).keys).toEqual(keysOf(small).slice(0, 3));
    }
  });

  test("costs only itself in a sealed file, and is counted", () => {
    const headEnd = victim.startBytes + recordHeaderBytes;
    for (let at = victim.startBytes; at < headEnd; at++) {
      const bytes = Buffer.from(small.bytes);
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      const { keys, records, scanner } = scan(bytes, small, search);
      expect(keys).toEqual(others);
      expect(records.filter(({ isAfterDamage }) => isAfterDamage).length).toBe(1);
      expect(scanner.damagedCount).toBeGreaterThan(0);
    }
  });

  test("in a body is told where bodies are checked", () => {
    const bytes = Buffer.from(small.bytes);
    const at = victim.endBytes - 10;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const { keys, records } = scan(bytes, small, { onDamage: "search", checksBodies: true });
    expect(keys).toEqual(keysOf(small));
    expect(records.map(({ bodyIsGood }) => bodyIsGood)).toEqual(
      small.records.map((record) => record !== victim),
    );
  });

  test("that holds the beginnings of records does not lead the search astray", () => {
    const magic = small.bytes.subarray(filePageBytes, filePageBytes + 4);
    const tricky = buildSegment([
      [{ key: "a", body: new Uint8Array(9) }],
      [{ key: "b", body: Buffer.concat(Array.from({ length: 300 }, () => magic)) }],
      [{ key: "c", body: new Uint8Array(9) }],
    ]);
    const bytes = Buffer.from(tricky.bytes);
    const at = tricky.records[1]?.startBytes ?? 0;
    bytes[at + 5] = (bytes[at + 5] ?? 0) ^ 1;
    expect(scan(bytes, tricky, search).keys).toEqual(["a", "c"]);
  });
});

test("records longer than what is read ahead at once are found, checked and passed by", () => {
  const body = new Uint8Array(900 * KiB);
  body.set(seededRandom(2).bytes(2_000), 500_000);
  const long = buildSegment(Array.from({ length: 12 }, (_, i) => [{ key: `long${i}`, body }]));
  expect(scan(long.bytes, long).keys).toEqual(keysOf(long));
  expect(scan(long.bytes, long, search).keys).toEqual(keysOf(long));
  for (const i of [0, 5, 11]) {
    const bytes = Buffer.from(long.bytes);
    bytes.fill(0, long.records[i]?.startBytes, (long.records[i]?.startBytes ?? 0) + 200);
    const left = keysOf(long).filter((_, at) => at !== i);
    expect(scan(bytes, long, search).keys).toEqual(left);
  }
});
