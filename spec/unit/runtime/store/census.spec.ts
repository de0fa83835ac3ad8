import { expect, test } from "bun:test";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { type Random, seededRandom } from "../../../../runtime/base/random.ts";
import { KiB, MiB } from "../../../../runtime/base/units.ts";
import {
  bytesOnDisk,
  type Census,
  type CensusRow,
  CensusTally,
  type Holdings,
} from "../../../../runtime/store/census.ts";
import { bytesKey } from "../../../../runtime/store/identity.ts";
import { manifestFlags } from "../../../../runtime/store/store.ts";

const scopeOf = (number: number): Uint8Array => sha256(`scope ${number}`).slice(0, 16);

function randomRow(random: Random, scopes: number): CensusRow {
  const isLarge = random.below(10) === 0;
  const isDeleted = random.below(8) === 0;
  return {
    file: 1 + random.below(6),
    offsetBytes: random.below(MiB),
    metadataBytes: isLarge ? 0 : 40 + random.below(100),
    sizeBytes: isDeleted ? 0 : random.below(isLarge ? 3 * MiB : 600 * KiB),
    version: 1 + random.below(1_000_000),
    producer: 1 + random.below(8),
    flags: (isLarge ? manifestFlags.large : 0) | (isDeleted ? manifestFlags.deleted : 0),
    scopeHash: scopeOf(random.below(scopes)),
  };
}

function count(rows: readonly CensusRow[], cleaned = new Map<string, number>(), max?: number) {
  const tally = new CensusTally(cleaned, max);
  for (const row of rows) tally.add(row);
  return tally.finish();
}

type Listed = {
  scope: string;
  producer: number;
  artifacts: number;
  bytes: number;
  oldest: number;
  newest: number;
};

function list(holdings: Holdings): Listed[] {
  return Array.from({ length: holdings.count }, (_, i) => ({
    scope: bytesKey(holdings.scopeHashes.subarray(16 * i, 16 * i + 16)),
    producer: holdings.producers[i] ?? 0,
    artifacts: holdings.artifactCounts[i] ?? 0,
    bytes: holdings.bytes[i] ?? 0,
    oldest: holdings.oldestVersions[i] ?? 0,
    newest: holdings.newestVersions[i] ?? 0,
  }));
}

const isLive = (row: CensusRow, cleaned: ReadonlyMap<string, number>): boolean =>
  (row.flags & manifestFlags.deleted) === 0 &&
  row.version > (cleaned.get(bytesKey(row.scopeHash)) ?? 0);

/** The slow way: one filter for each holding. */
function recount(rows: readonly CensusRow[], cleaned: ReadonlyMap<string, number>): Listed[] {
  const live = rows.filter((row) => isLive(row, cleaned));
  const scopes = [...new Set(live.map((row) => bytesKey(row.scopeHash)))];
  const listed = scopes.flatMap((scope) =>
    [1, 2, 3, 4, 5, 6, 7, 8].map((producer) => {
      const own = live.filter(
        (row) => bytesKey(row.scopeHash) === scope && row.producer === producer,
      );
      return {
        scope,
        producer,
        artifacts: own.length,
        bytes: own.reduce((sum, row) => sum + bytesOnDisk(row), 0),
        oldest: Math.min(...own.map((row) => row.version)),
        newest: Math.max(...own.map((row) => row.version)),
      };
    }),
  );
  return listed
    .filter(({ artifacts }) => artifacts > 0)
    .sort((left, right) => right.bytes - left.bytes);
}

const sumOf = (rows: readonly CensusRow[]) => ({
  artifactCount: rows.length,
  bytes: rows.reduce((sum, row) => sum + bytesOnDisk(row), 0),
});

test.each([1, 2, 3])("rows are summed up as by a plain recount, seed %d", (seed) => {
  const random = seededRandom(seed);
  const rows = Array.from({ length: 4_000 }, () => randomRow(random, 12));
  // At the very version of a tombstone: cleaned with the rest.
  rows.push({ ...randomRow(random, 1), flags: 0, version: 500_000, scopeHash: scopeOf(3) });
  const cleaned = new Map([
    [bytesKey(scopeOf(3)), 500_000],
    [bytesKey(scopeOf(4)), 2_000_000],
    [bytesKey(scopeOf(99)), 7],
  ]);
  const census = count(rows, cleaned);
  const live = rows.filter((row) => isLive(row, cleaned));
  const isDeleted = (row: CensusRow) => (row.flags & manifestFlags.deleted) !== 0;
  const isLarge = (row: CensusRow) => (row.flags & manifestFlags.large) !== 0;
  expect(census.total).toEqual(sumOf(live));
  expect(census.large).toEqual(sumOf(live.filter(isLarge)));
  expect(census.deletedCount).toBe(rows.filter(isDeleted).length);
  expect(census.cleaned).toEqual(
    sumOf(rows.filter((row) => !isDeleted(row) && !isLive(row, cleaned))),
  );
  expect(list(census.holdings)).toEqual(recount(rows, cleaned));
  expect(census.others).toEqual({ artifactCount: 0, bytes: 0 });
  const inSegments = live.filter((row) => !isLarge(row));
  const files = [...new Set(inSegments.map((row) => row.file))].sort((a, b) => a - b);
  expect([...census.segments.files]).toEqual(files);
  for (const [i, file] of files.entries()) {
    const own = inSegments.filter((row) => row.file === file);
    expect([census.segments.liveRows[i], census.segments.liveBytes[i]]).toEqual([
      own.length,
      sumOf(own).bytes,
    ]);
    expect(census.segments.newestVersions[i]).toBe(Math.max(...own.map((row) => row.version)));
  }
});

test("the place of a holding is that of its newest artifact", () => {
  const random = seededRandom(5);
  const rows = Array.from({ length: 500 }, () => randomRow(random, 3));
  const { holdings } = count(rows);
  for (let i = 0; i < holdings.count; i++) {
    const places = rows.filter((row) => row.version === holdings.newestVersions[i]);
    const place = {
      file: holdings.files[i],
      offsetBytes: holdings.offsetsBytes[i],
      metadataBytes: holdings.metadataBytes[i],
    };
    expect(places).toContainEqual(expect.objectContaining(place));
  }
});

test("beyond the bound the largest holdings stay, and what is folded away is counted among the others", () => {
  const random = seededRandom(6);
  const big = Array.from({ length: 2_000 }, (_, i) => ({
    ...randomRow(random, 1),
    flags: 0,
    producer: 1,
    sizeBytes: 100 * KiB + (i % 4) * KiB,
    scopeHash: scopeOf(i % 4),
  }));
  const small = Array.from({ length: 2_000 }, (_, i) => ({
    ...randomRow(random, 1),
    flags: 0,
    producer: 1,
    sizeBytes: 10,
    scopeHash: scopeOf(100 + (i % 700)),
  }));
  const rows = shuffled([...big, ...small], random);
  const census = count(rows, new Map(), 20);
  expect(census.holdings.count).toBe(20);
  expect(list(census.holdings).slice(0, 4)).toEqual(recount(big, new Map()));
  expect([...census.holdings.arePartial.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
  // What came anew after a folding may have been folded before.
  expect([...census.holdings.arePartial.subarray(4)]).toContain(1);
  expect(census.total).toEqual(sumOf(rows));
  expect(sumOfAll(census)).toEqual(census.total);
});

function sumOfAll({ holdings, others }: Census) {
  const listed = list(holdings);
  return {
    artifactCount: listed.reduce((sum, one) => sum + one.artifacts, others.artifactCount),
    bytes: listed.reduce((sum, one) => sum + one.bytes, others.bytes),
  };
}

function shuffled<T>(items: T[], random: Random): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const other = random.below(i + 1);
    [items[i], items[other]] = [items[other] as T, items[i] as T];
  }
  return items;
}
