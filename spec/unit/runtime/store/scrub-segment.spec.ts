import { expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { filePageBytes } from "../../../../runtime/store/format.ts";
import type { DamagedPlace } from "../../../../runtime/store/scrub-place.ts";
import { walkWindow } from "../../../../runtime/store/scrub-segment.ts";
import { buildSegment } from "../../../support/sim-store-segment.ts";

const random = seededRandom(1);
const bodyOf = (length: number) => ({ key: `k${length}`, body: random.bytes(length) });
const segment = buildSegment([
  [bodyOf(10), bodyOf(0)],
  [bodyOf(33), bodyOf(150)],
  [bodyOf(70)],
  [bodyOf(5), bodyOf(64)],
]);
const { records, seed } = segment;
const longestBytes = Math.max(...records.map(({ startBytes, endBytes }) => endBytes - startBytes));

/** Walks these bytes window by window, as the scrub does. */
function walk(bytes: Uint8Array, windowBytes = bytes.length): DamagedPlace[] {
  const endBytes = bytes.length;
  const damages: DamagedPlace[] = [];
  let [at, badFromBytes]: [number, number | null] = [filePageBytes, null];
  while (at < endBytes) {
    const window = bytes.slice(at, Math.min(at + windowBytes, endBytes));
    const place = { atBytes: at, file: 1, endBytes, isEndGuessed: false, badFromBytes };
    const found = walkWindow({ ...place, bytes: window, seed });
    expect(found.nextBytes).toBeGreaterThan(at);
    damages.push(...found.damages);
    [at, badFromBytes] = [found.nextBytes, found.badFromBytes];
  }
  return damages;
}

const placesOf = (damages: readonly DamagedPlace[]) =>
  damages.map(({ startBytes, endBytes }) => ({ startBytes, endBytes }));

function placesBetween(first: number, last: number) {
  const startBytes = records[first]?.startBytes ?? 0;
  return [{ startBytes, endBytes: records[last]?.endBytes ?? 0 }];
}

test("a whole segment has no damaged place, however it is cut into windows", () => {
  expect(walk(segment.bytes)).toEqual([]);
  for (let windowBytes = longestBytes; windowBytes < longestBytes + 300; windowBytes++) {
    expect(walk(segment.bytes, windowBytes)).toEqual([]);
  }
});

test("a flip of any bit is found, and hits exactly the record that it lies in", () => {
  for (const [number, record] of records.entries()) {
    for (let at = record.startBytes; at < record.endBytes; at++) {
      const bytes = new Uint8Array(segment.bytes);
      bytes[at]! ^= 1 << (at % 8);
      const windowBytes = at % 3 === 0 ? bytes.length : longestBytes + (at % 97);
      expect(placesOf(walk(bytes, windowBytes))).toEqual(placesBetween(number, number));
    }
  }
});

test("a stretch of garbage hits every record that it touches and no other", () => {
  for (let tries = 0; tries < 400; tries++) {
    const from = filePageBytes + random.below(segment.bytes.length - filePageBytes);
    const to = Math.min(segment.bytes.length, from + 1 + random.below(500));
    const bytes = new Uint8Array(segment.bytes);
    for (let at = from; at < to; at++) bytes[at]! ^= 1 + random.below(255);
    const touched = records.filter(
      ({ startBytes, endBytes }) => startBytes < to && endBytes > from,
    );
    const damages = walk(bytes, longestBytes + random.below(400));
    const hit = records.filter(({ startBytes, endBytes }) =>
      damages.some((place) => place.startBytes <= startBytes && place.endBytes >= endBytes),
    );
    expect(hit).toEqual(touched);
    const last = damages.at(-1)?.endBytes;
    expect(last).toBe(touched.at(-1)?.endBytes ?? 0);
  }
});

test("damage behind a whole header names its artifact, unless the name itself is damaged", () => {
  const record = records[3]!;
  const bytes = new Uint8Array(segment.bytes);
  bytes[record.endBytes - 1]! ^= 1;
  const [inTable] = walk(bytes);
  expect(inTable?.name).toEqual({ producer: 1, tenant: "tenant", namespace: "space", key: "k150" });
  expect(inTable?.id).toEqual(
    new Uint8Array(segment.bytes.subarray(record.startBytes + 32, record.startBytes + 64)),
  );
  bytes[record.startBytes + 115]! ^= 1;
  const [inMetadata] = walk(bytes);
  expect([inMetadata?.name, inMetadata?.id]).toEqual([null, inTable?.id]);
  bytes[record.startBytes + 20]! ^= 1;
  expect(walk(bytes)).toEqual([
    expect.objectContaining({ id: null, name: null, startBytes: record.startBytes }),
  ]);
});

test("a record inside the body of another is not taken for one, also when that one is damaged", () => {
  const inner = segment.bytes.subarray(records[2]!.startBytes, records[2]!.endBytes);
  const outer = buildSegment([
    [
      { key: "outer", body: inner },
      { key: "next", body: inner },
    ],
  ]);
  const bytes = new Uint8Array(outer.bytes);
  const [first, second] = outer.records;
  expect(walk(bytes)).toEqual([]);
  bytes[(first?.startBytes ?? 0) + 5]! ^= 1;
  expect(placesOf(walk(bytes))).toEqual([
    { startBytes: first?.startBytes ?? 0, endBytes: second?.startBytes ?? 0 },
  ]);
});
