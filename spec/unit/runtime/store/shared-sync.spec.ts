import { expect, test } from "bun:test";
import { SharedSync } from "../../../../runtime/store/shared-sync.ts";

/** A sync whose ends are called by hand. */
function makeSync() {
  const ends: { succeed: () => void; fail: () => void }[] = [];
  const shared = new SharedSync(
    () =>
      new Promise<void>((resolve, reject) => {
        ends.push({ succeed: resolve, fail: () => reject(new Error("failed")) });
      }),
  );
  return { shared, ends };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("whoever comes while a sync runs waits for one that begins later, all of them together", async () => {
  const { shared, ends } = makeSync();
  const settled: string[] = [];
  void shared.sync().then(() => settled.push("first"));
  for (const name of ["second", "third"]) void shared.sync().then(() => settled.push(name));
  await turn();
  expect(ends.length).toBe(1);
  ends[0]?.succeed();
  await turn();
  expect(settled).toEqual(["first"]);
  expect(ends.length).toBe(2);
  ends[1]?.succeed();
  await turn();
  expect(settled).toEqual(["first", "second", "third"]);
  void shared.sync();
  expect(ends.length).toBe(3);
});

test("a failed sync is told to those who waited for it, and not to those after it", async () => {
  const { shared, ends } = makeSync();
  const outcomes: string[] = [];
  const watch = (name: string) =>
    shared.sync().then(
      () => outcomes.push(`${name} done`),
      () => outcomes.push(`${name} failed`),
    );
  void watch("first");
  void watch("second");
  ends[0]?.fail();
  await turn();
  ends[1]?.succeed();
  await turn();
  expect(outcomes).toEqual(["first failed", "second done"]);
});
