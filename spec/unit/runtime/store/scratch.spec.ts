import { expect, test } from "bun:test";
import fs from "node:fs";
import { systemClock } from "../../../../runtime/base/clock.ts";
import { Fault } from "../../../../runtime/base/fault.ts";
import { systemRandom } from "../../../../runtime/base/random.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { GiB, MiB } from "../../../../runtime/base/units.ts";
import { makeScope, nameArtifact } from "../../../../runtime/store/identity.ts";
import type { NodeStore } from "../../../../runtime/store/node-store.ts";
import { openStore } from "../../../../runtime/store/open.ts";
import { createScratch, type Scratch } from "../../../../runtime/store/scratch.ts";
import { makeTemporaryFolder } from "../../../support/node-process.ts";

const totalBytes = 8 * MiB;
const module = nameArtifact("module", makeScope("t", "n"), "m");
const facts = { kind: "nx", sha256: null, attributes: {}, writer: "" } as const;
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return "taken";
  } catch (error) {
    return error instanceof Fault ? error.code : String(error);
  }
};

type Bench = AsyncDisposable & { store: NodeStore; scratch: Scratch; reopen(): Promise<void> };

async function setUp(): Promise<Bench> {
  const dataDir = makeTemporaryFolder("scratch");
  const open = async (scratch: Scratch): Promise<NodeStore> => {
    const store = openStore(
      {
        dataDir,
        capacityBytes: GiB,
        manifestCacheBytesMax: MiB,
        bodyCacheBytesMax: MiB,
        indexCacheBytes: MiB,
        walBytesMax: 4 * MiB,
        scratch,
        note: () => {},
      },
      { disk: realDisk, clock: systemClock, random: systemRandom },
    );
    await store.ready;
    return store;
  };
  const scratch = createScratch(totalBytes, systemClock);
  const bench: Bench = {
    scratch,
    store: await open(scratch),
    async reopen() {
      await bench.store.close();
      bench.scratch = createScratch(totalBytes, systemClock);
      bench.store = await open(bench.scratch);
    },
    async [Symbol.asyncDispose]() {
      await bench.store.close();
      fs.rmSync(dataDir, { recursive: true, force: true });
    },
  };
  return bench;
}

test("bodies on their way hold their size until they are stored or gone, and no more than there is", async () => {
  await using bench = await setUp();
  const { store, scratch } = bench;
  const [kept, gone] = [store.stage(5 * MiB), store.stage(3 * MiB)];
  expect(codeOf(() => store.stage(1))).toBe("overloaded");
  gone.discard();
  gone.discard();
  expect(scratch.staging.usedBytes).toBe(5 * MiB);
  await kept.write(new Uint8Array(5 * MiB));
  await kept.finish(nameArtifact("nx", makeScope("t", "n"), "1"), facts);
  expect(scratch.staging.usedBytes).toBe(0);
});

test("a body of unknown length holds what has come of it, and is refused where there is no more", async () => {
  await using bench = await setUp();
  const { store, scratch } = bench;
  const stage = store.stage(0);
  await stage.write(new Uint8Array(6 * MiB));
  expect(scratch.staging.usedBytes).toBe(6 * MiB);
  const late = await stage.write(new Uint8Array(3 * MiB)).catch((error: unknown) => error);
  expect((late as Fault).code).toBe("overloaded");
  stage.discard();
  expect(scratch.staging.usedBytes).toBe(0);
});

test("parts leave a quarter to bodies, and are counted again after a restart", async () => {
  await using bench = await setUp();
  const id = bench.store.uploads.start(module);
  for (let number = 1; number <= 3; number++) {
    const part = bench.store.uploads.openPart(id, { number, sizeBytes: 2 * MiB });
    await part.write(new Uint8Array(2 * MiB));
    await part.finish();
  }
  const more = (): unknown => bench.store.uploads.openPart(id, { number: 4, sizeBytes: 1 });
  expect(codeOf(more)).toBe("overloaded");
  expect(bench.scratch.parts.usedBytes).toBe(6 * MiB);
  const body = bench.store.stage(2 * MiB);
  expect(codeOf(() => bench.store.stage(1))).toBe("overloaded");
  body.discard();

  await bench.reopen();
  expect(bench.scratch.parts.usedBytes).toBe(6 * MiB);
  expect(codeOf(() => bench.store.uploads.openPart(id, { number: 4, sizeBytes: 1 }))).toBe(
    "overloaded",
  );
});
