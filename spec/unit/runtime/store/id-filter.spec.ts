import { expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { MiB } from "../../../../runtime/base/units.ts";
import { fillFilter, IdFilter } from "../../../../runtime/store/id-filter.ts";
import type { Maintenance } from "../../../../runtime/store/maintenance.ts";

const random = seededRandom(71);
const makeIds = (count: number): Uint8Array[] =>
  Array.from({ length: count }, () => random.bytes(32));

/** Gives pages of sorted ids, as the Worker does. */
function pagesOf(ids: Uint8Array[], onPage: () => void = () => {}): Maintenance {
  const sorted = [...ids].sort((left, right) => Buffer.compare(left, right));
  const nextIds = async (after: Uint8Array, limit: number) => {
    onPage();
    const page = sorted.filter((id) => Buffer.compare(id, after) > 0).slice(0, limit);
    return new Uint8Array(Buffer.concat(page));
  };
  return { nextIds } as unknown as Maintenance;
}

test("a filter that has not seen every id knows nothing", () => {
  const filter = new IdFilter(64 * MiB);
  for (const id of makeIds(100)) expect(filter.mayHold(id)).toBe(true);
});

test("an id that was added is never called absent, and nearly every other one is", () => {
  const filter = new IdFilter(64 * MiB);
  const held = makeIds(50_000);
  for (const id of held) filter.add(id);
  filter.complete();
  for (const id of held) expect(filter.mayHold(id)).toBe(true);
  const wrong = makeIds(50_000).filter((id) => filter.mayHold(id)).length;
  expect(wrong).toBeLessThan(500);
});

test("it is filled page by page with every id of the index", async () => {
  const filter = new IdFilter(64 * MiB);
  const ids = makeIds(25_000);
  await fillFilter(filter, pagesOf(ids), { isWanted: () => true });
  for (const id of ids) expect(filter.mayHold(id)).toBe(true);
  expect(makeIds(1_000).some((id) => !filter.mayHold(id))).toBe(true);
});

test("a filter whose store was opened anew meanwhile never says that it is complete", async () => {
  const filter = new IdFilter(64 * MiB);
  let pages = 0;
  const maintenance = pagesOf(makeIds(15_000), () => {
    pages += 1;
  });
  await fillFilter(filter, maintenance, { isWanted: () => pages < 2 });
  expect(pages).toBe(2);
  for (const id of makeIds(100)) expect(filter.mayHold(id)).toBe(true);
});

test("it asks to be filled once, when as many look-ups were in vain as a sixteenth of the rows, or the least", () => {
  for (const { head, vainLookUpsMin, expected } of [
    { head: 1_600, vainLookUpsMin: 1, expected: 100 },
    { head: 1_600, vainLookUpsMin: 500, expected: 500 },
    { head: 10_000_000, vainLookUpsMin: 1, expected: 100_000 },
  ]) {
    const filter = new IdFilter(MiB);
    let [vain, fills] = [0, 0];
    filter.whenWanted({ head, vainLookUpsMin }, () => {
      fills += 1;
    });
    for (; fills === 0 && vain < 200_000; vain++) filter.noteVainLookUp();
    expect(vain).toBe(expected);
    filter.noteVainLookUp();
    expect(fills).toBe(1);
  }
});
