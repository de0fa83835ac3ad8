import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB, MiB } from "../../../../runtime/base/units.ts";
import { encodeFileHeader, filePageBytes } from "../../../../runtime/store/format.ts";
import { makeScope, nameArtifact } from "../../../../runtime/store/identity.ts";
import { encodeLargeHeader, largeDigest, PieceCrcs } from "../../../../runtime/store/large-file.ts";
import type { DamagedPlace } from "../../../../runtime/store/scrub-place.ts";
import {
  type ScrubRequest,
  scrubSlice,
  scrubSliceBytes,
} from "../../../../runtime/store/scrub-slice.ts";
import { SimClock } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";
import { buildSegment } from "../../../support/sim-store-segment.ts";

const random = seededRandom(1);
const storeId = new Uint8Array(16).fill(7);
const path = "/one";
const window = new Uint8Array(scrubSliceBytes);

function diskOf(bytes: Uint8Array): SimDisk {
  const disk = new SimDisk({ calls: new SimCalls(), clock: new SimClock(), random });
  disk.create(path).write(bytes, 0);
  return disk;
}

/** Scrubs a file slice by slice to its end. */
function scrub(disk: SimDisk, changes: Partial<ScrubRequest> = {}) {
  const damages: DamagedPlace[] = [];
  let [atBytes, badFromBytes]: [number, number | null] = [0, null];
  let [slices, damagedHeaders] = [0, 0];
  for (;;) {
    const place = { path, file: 1, isLarge: false, storeId, atBytes, badFromBytes };
    const request = { ...place, endBytes: null, successorPath: null, ...changes };
    const steps = scrubSlice(disk, request, window);
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    const slice = step.value;
    slices += 1;
    if (slice.at !== "read") return { at: slice.at, damages, slices, damagedHeaders };
    damages.push(...slice.damages);
    damagedHeaders += slice.damagedHeaders;
    if (slice.isEnd) return { at: "end" as const, damages, slices, damagedHeaders };
    ({ nextBytes: atBytes, badFromBytes } = slice);
  }
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[at]! ^= 4;
  return copy;
}

describe("a segment", () => {
  const bodies = [700, 5 * MiB, 900 * KiB, 900 * KiB, 900 * KiB, 300].map((size, i) => ({
    key: `k${i}`,
    body: new Uint8Array(size).fill(i + 1),
  }));
  const segment = buildSegment([bodies]);
  const { records } = segment;

  test("is read in several slices, with records longer than one, and is whole", () => {
    const { damages, slices, damagedHeaders } = scrub(diskOf(segment.bytes));
    expect([damages, damagedHeaders]).toEqual([[], 0]);
    expect(slices).toBeGreaterThan(3);
  });

  test("has one damaged place, wherever a bit flips in a record of any length", () => {
    for (const record of records) {
      const { startBytes, endBytes } = record;
      const middle = Math.floor((startBytes + endBytes) / 2);
      for (const at of [startBytes + 3, startBytes + 40, startBytes + 120, middle, endBytes - 1]) {
        const { damages } = scrub(diskOf(flipped(segment.bytes, at)));
        expect(damages).toHaveLength(1);
        expect(damages[0]).toMatchObject({ file: 1, isLarge: false, startBytes, endBytes });
      }
    }
  });

  test("tells of each copy of its header that is damaged or another file's", () => {
    const first = flipped(segment.bytes, 40);
    expect(scrub(diskOf(first)).damagedHeaders).toBe(1);
    expect(scrub(diskOf(flipped(first, filePageBytes - 1))).damagedHeaders).toBe(2);
    const foreign = new Uint8Array(segment.bytes);
    foreign.set(encodeFileHeader({ ...segment.header, file: 9 }));
    expect(scrub(diskOf(foreign)).damagedHeaders).toBe(2);
  });

  test("is read up to its durable end only: as it is known here, or as the successor states it", () => {
    const predecessorEndBytes = records[4]?.endBytes ?? 0;
    const disk = diskOf(flipped(segment.bytes, predecessorEndBytes + 60));
    expect(scrub(disk).damages).toHaveLength(1);
    expect(scrub(disk, { endBytes: predecessorEndBytes }).damages).toEqual([]);
    const header = { ...segment.header, file: 2, predecessor: 1, predecessorEndBytes };
    disk.create("/two").write(encodeFileHeader(header), 0);
    expect(scrub(disk, { successorPath: "/two" }).damages).toEqual([]);
    // With the successor gone nobody can tell damage from a write that never ended.
    expect(scrub(disk, { successorPath: "/gone" }).damages).toMatchObject([{ isTail: true }]);
    expect(scrub(disk, { endBytes: segment.bytes.length }).damages).toMatchObject([
      { isTail: false },
    ]);
  });

  test("that lost its end is damaged from there on", () => {
    const cut = (records[2]?.startBytes ?? 0) + 500;
    const disk = diskOf(segment.bytes.subarray(0, cut));
    const { damages } = scrub(disk, { endBytes: segment.bytes.length });
    expect(damages.at(-1)?.endBytes).toBe(segment.bytes.length);
    expect(damages[0]).toMatchObject({ startBytes: records[2]?.startBytes });
  });

  test("that was removed is gone, and nothing is wrong", () => {
    const disk = diskOf(segment.bytes);
    disk.remove(path);
    expect(scrub(disk)).toMatchObject({ at: "gone", damages: [] });
  });
});

describe("a large file", () => {
  const sizeBytes = 5 * MiB + 1_000;
  const bytes = buildLarge(sizeBytes);
  const isLarge = true;

  test("is whole", () => {
    const { damages, slices } = scrub(diskOf(bytes), { isLarge });
    expect([damages, slices]).toEqual([[], 3]);
  });

  test("is damaged once, wherever a bit flips: page, body, table", () => {
    const places = [9, 60, 200, 4_095, 4_096, 3 * MiB, filePageBytes + sizeBytes - 1];
    for (const at of [...places, filePageBytes + sizeBytes, bytes.length - 1]) {
      const { damages } = scrub(diskOf(flipped(bytes, at)), { isLarge });
      expect(damages).toHaveLength(1);
      expect(damages[0]).toMatchObject({ file: 1, isLarge, startBytes: 0 });
      expect(damages[0]?.name?.key ?? null).toBe(at < filePageBytes ? null : "big");
    }
  });

  test("is damaged when it is shorter than it was, and when it is another file's", () => {
    const cut = diskOf(bytes.subarray(0, bytes.length - 1));
    expect(scrub(cut, { isLarge }).damages).toHaveLength(1);
    const foreign = scrub(diskOf(bytes), { isLarge, file: 2 });
    expect(foreign.damages[0]).toMatchObject({ file: 2, id: null });
  });
});

/** A large file as a finished upload leaves it. */
function buildLarge(sizeBytes: number): Uint8Array {
  const body = random.bytes(sizeBytes);
  const crcs = new PieceCrcs(5);
  crcs.update(body);
  const table = crcs.finish();
  const { id } = nameArtifact("xcode", makeScope("tenant", "space"), "big");
  const names = { tenant: "tenant", namespace: "space", key: "big" };
  const page = encodeLargeHeader({
    storeId,
    file: 1,
    bodyBytes: sizeBytes,
    digest: largeDigest(sizeBytes, table),
    seed: 5,
    kind: 1,
    producer: 1,
    id,
    metadata: { ...names, sha256: null, writer: "", attributes: {}, place: null },
  });
  return Buffer.concat([page, body, table]);
}
