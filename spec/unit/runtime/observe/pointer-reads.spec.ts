import { expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import {
  missReasons,
  PointerReads,
  type ReadScope,
} from "../../../../runtime/observe/pointer-reads.ts";

const scope = (name: string): ReadScope => ({
  tenant: "acme",
  namespace: name,
  hashKey: name.padStart(16, "."),
});

const found = (reads: PointerReads, name: string) =>
  reads.entries().find((entry) => entry.scope.namespace === name);

test("hits and misses are counted by scope and kind, and come to the total", () => {
  const reads = new PointerReads();
  const random = seededRandom(3);
  const expected = new Map<string, number>();
  const note = (key: string) => expected.set(key, (expected.get(key) ?? 0) + 1);
  for (let i = 0; i < 5_000; i++) {
    const [name, artifact] = [`n${random.below(6)}`, random.below(4)];
    const result = random.below(1 + missReasons.length);
    const reason = missReasons[result - 1];
    if (reason === undefined) reads.hit(artifact, scope(name));
    else reads.miss(artifact, scope(name), reason);
    note(`${name} ${artifact} ${reason ?? "hit"}`);
    note(reason ?? "hit");
  }
  const entries = reads.entries();
  expect(entries).toHaveLength(24);
  for (const { scope: owner, artifact, hits, misses } of entries) {
    const key = `${owner.namespace} ${artifact}`;
    expect(hits).toBe(expected.get(`${key} hit`) ?? 0);
    for (const reason of missReasons) {
      expect(misses[reason]).toBe(expected.get(`${key} ${reason}`) ?? 0);
    }
  }
  const total = reads.total();
  expect(total.hits).toBe(expected.get("hit") ?? 0);
  for (const reason of missReasons) expect(total.misses[reason]).toBe(expected.get(reason) ?? 0);
});

test("a flood of invented scopes replaces itself, and what gave way is still in the total", () => {
  const reads = new PointerReads(16);
  for (let i = 0; i < 15; i++) {
    for (let hit = 0; hit < 100 + i; hit++) reads.hit(2, scope(`real${i}`));
  }
  for (let i = 0; i < 10; i++) reads.miss(2, scope(`invented${i}`), "never_written");
  expect(reads.entries()).toHaveLength(16);
  for (let i = 0; i < 15; i++) expect(found(reads, `real${i}`)?.hits).toBe(100 + i);
  expect(found(reads, "invented9")?.misses.never_written).toBe(1);
  expect(reads.total().hits).toBe(15 * 100 + (14 * 15) / 2);
  expect(reads.total().misses.never_written).toBe(10);
});

test("who read much long ago gives way to who reads now", () => {
  const reads = new PointerReads(4);
  for (let i = 0; i < 4; i++) for (let hit = 0; hit < 50; hit++) reads.hit(1, scope(`old${i}`));
  for (let round = 0; round < 200; round++) {
    for (let i = 0; i < 4; i++) reads.hit(1, scope(`new${i}`));
  }
  const names = reads.entries().map((entry) => entry.scope.namespace);
  expect(names.filter((name) => name.startsWith("new")).length).toBeGreaterThanOrEqual(3);
  expect(reads.total().hits).toBe(4 * 50 + 4 * 200);
});
