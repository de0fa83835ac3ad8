import { edenGC } from "bun:jsc";
import { expect, test } from "bun:test";
import { nextTurn } from "../../../../runtime/base/turns.ts";
import { RuntimeCollections } from "../../../../runtime/server/runtime-collections.ts";

/** Garbage of so many MiB, a little at a time. */
async function litter(mebibytes: number): Promise<void> {
  let kept = new Uint8Array(0);
  for (let i = 0; i < mebibytes * 16; i++) {
    kept = new Uint8Array(64 * 1_024).fill(kept.length & 1);
    if (i % 64 === 0) await nextTurn();
  }
  await nextTurn();
}

test("collections of the runtime are noticed when there was much garbage, and not when there was none", async () => {
  const collections = new RuntimeCollections();
  await litter(512);
  expect(collections.take()).toBe(true);
  await nextTurn();
  expect(collections.take()).toBe(false);
  await litter(512);
  expect(collections.take()).toBe(true);
});

test("a collection that was asked for does not count, and the next one of the runtime does", async () => {
  const collections = new RuntimeCollections();
  for (let i = 0; i < 5; i++) {
    edenGC();
    collections.forget();
    await nextTurn();
    await nextTurn();
    expect(collections.take()).toBe(false);
  }
  await litter(512);
  expect(collections.take()).toBe(true);
});
