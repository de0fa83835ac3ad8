import { expect, test } from "bun:test";
import { Fault } from "../../../../runtime/base/fault.ts";
import { actionResult, artifactKinds, gradleEntry } from "../../../../runtime/catalog/kinds.ts";
import {
  describeSpace,
  parseHoldingsLimit,
  type SpaceSources,
} from "../../../../runtime/catalog/space-report.ts";
import { PointerReads } from "../../../../runtime/observe/pointer-reads.ts";
import { type CensusRow, CensusTally } from "../../../../runtime/store/census.ts";
import { makeScope, producers, type Scope } from "../../../../runtime/store/identity.ts";
import { manifestFlags } from "../../../../runtime/store/store.ts";
import { versionOfWall } from "../../../../runtime/store/version.ts";

const wallMs = Date.UTC(2027, 0, 2);
const hour = 3_600_000;
const [ios, tvos, gone] = ["ios", "tvos", "gone"].map((name) => makeScope("acme", name)) as [
  Scope,
  Scope,
  Scope,
];

const row = (scope: Scope, change: Partial<CensusRow>): CensusRow => ({
  file: 1,
  offsetBytes: 4_096,
  metadataBytes: 88,
  sizeBytes: 796,
  version: versionOfWall(wallMs - hour),
  producer: producers.gradle,
  flags: 0,
  scopeHash: scope.hash,
  ...change,
});

function sources(rows: readonly CensusRow[], change: Partial<SpaceSources> = {}): SpaceSources {
  const tally = new CensusTally(new Map());
  for (const one of rows) tally.add(one);
  const census = tally.finish();
  return {
    wallMs,
    usage: { usedBytes: 10_000, capacityBytes: 50_000, freeBytes: 1_000_000 },
    census,
    limit: 100,
    names: [ios, tvos],
    reads: null,
    nextToGo: [],
    ...change,
  };
}

const rows = [
  row(ios, {}),
  row(ios, { version: versionOfWall(wallMs - 5 * hour), file: 2 }),
  row(tvos, { file: 2, producer: producers.reapi }),
];

test("holdings are listed with their names, sizes on disk and reads", () => {
  const reads = new PointerReads();
  for (let i = 0; i < 3; i++) reads.hit(gradleEntry.place, ios);
  reads.miss(gradleEntry.place, ios, "evicted");
  reads.miss(actionResult.place, gone, "evicted");
  reads.miss(actionResult.place, gone, "never_written");
  const counted = { total: reads.total(), entries: reads.entries() };
  const report = describeSpace(sources(rows, { reads: counted }));
  expect(report).toMatchObject({
    at: "2027-01-02T00:00:00.000Z",
    usedBytes: 10_000,
    artifactCount: 3,
    artifactBytes: 3_000,
    onceHerePercent: 66.7,
    pointerReads: {
      hits: 3,
      misses: 3,
      hitPercent: 50,
      missReasons: { evicted: 2, never_written: 1 },
    },
    others: { artifactCount: 0, bytes: 0 },
  });
  expect(report.holdings).toEqual([
    {
      tenant: "acme",
      namespace: "ios",
      producer: "gradle",
      artifactCount: 2,
      bytes: 2_000,
      oldest: "2027-01-01T19:00:00.000Z",
      isWhole: true,
      pointerReads: { hits: 3, misses: 1, hitPercent: 75, missReasons: { evicted: 1 } },
    },
    expect.objectContaining({ namespace: "tvos", producer: "reapi", pointerReads: null }),
    // It holds nothing any more, which is why its reads miss.
    expect.objectContaining({
      namespace: "gone",
      producer: "reapi",
      artifactCount: 0,
      oldest: null,
      pointerReads: {
        hits: 0,
        misses: 2,
        hitPercent: 0,
        missReasons: { evicted: 1, never_written: 1 },
      },
    }),
  ]);
});

test("holdings beyond the limit are summed up, and their reads make no holding of their own", () => {
  const reads = new PointerReads();
  reads.hit(actionResult.place, tvos);
  const counted = { total: reads.total(), entries: reads.entries() };
  const report = describeSpace(sources(rows, { limit: 1, names: [ios], reads: counted }));
  expect(report.holdings).toHaveLength(1);
  expect(report.others).toEqual({ artifactCount: 1, bytes: 1_000 });
});

test("a scope without a name is listed by what it holds, or by the name of its reads", () => {
  const reads = new PointerReads();
  reads.hit(gradleEntry.place, ios);
  const counted = { total: reads.total(), entries: reads.entries() };
  const report = describeSpace(sources(rows, { names: [null, null], reads: counted }));
  expect(report.holdings.map(({ tenant, namespace, bytes }) => [tenant, namespace, bytes])).toEqual(
    [
      ["acme", "ios", 2_000],
      [null, null, 1_000],
    ],
  );
});

test("units to go say what in them can still be read", () => {
  const nextToGo = [
    { file: 2, isLarge: false, sizeBytes: 9_000 },
    { file: 7, isLarge: false, sizeBytes: 8_000 },
    { file: 9, isLarge: true, sizeBytes: 7_000 },
  ];
  const large = row(ios, { file: 9, flags: manifestFlags.large });
  const report = describeSpace(sources([...rows, large], { nextToGo }));
  expect(report.nextToGo).toEqual([
    {
      file: 2,
      kind: "segment",
      sizeBytes: 9_000,
      liveBytes: 2_000,
      newest: "2027-01-01T23:00:00.000Z",
    },
    { file: 7, kind: "segment", sizeBytes: 8_000, liveBytes: 0, newest: null },
    { file: 9, kind: "large", sizeBytes: 7_000, liveBytes: null, newest: null },
  ]);
});

test("each pointer has a producer of its own, so that scope and producer name one line", () => {
  const pointers = artifactKinds.filter((kind) => kind.class === "pointer");
  expect(new Set(pointers.map(({ producer }) => producer)).size).toBe(pointers.length);
});

test("a limit is a number from 1 to 1,000", () => {
  expect([undefined, "1", "1000"].map(parseHoldingsLimit)).toEqual([100, 1, 1_000]);
  for (const text of ["0", "1001", "-1", "x", "", "1e3"]) {
    expect(() => parseHoldingsLimit(text)).toThrow(Fault);
  }
});
