import { expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { systemClock } from "../../../runtime/base/clock.ts";
import type { Fault } from "../../../runtime/base/fault.ts";
import { systemRandom } from "../../../runtime/base/random.ts";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import { makeScope, nameArtifact } from "../../../runtime/store/identity.ts";
import { openStore } from "../../../runtime/store/open.ts";
import type { BodyFacts, PutChange, StagedBody } from "../../../runtime/store/store.ts";
import { type HangingDisk, makeHangingDisk } from "../../support/hanging-disk.ts";
import { makeTemporaryFolder, until } from "../../support/node-process.ts";

const stallMsMax = 150;
const facts: BodyFacts = { kind: "nx", sha256: null, attributes: {}, writer: "" };

function nameOf(key: string) {
  return nameArtifact("nx", makeScope("acme", "ios"), key);
}

function putOf(key: string, body: Uint8Array | StagedBody = new Uint8Array(100)): PutChange {
  const contentType = "application/octet-stream";
  return { op: "put", name: nameOf(key), rule: "firstWins", contentType, body, ...facts };
}

async function openOn({ disk, release }: HangingDisk) {
  const dataDir = makeTemporaryFolder("wedged");
  const notes: string[] = [];
  const options = {
    dataDir,
    capacityBytes: 64 * MiB,
    manifestCacheBytesMax: MiB,
    bodyCacheBytesMax: MiB,
    indexCacheBytes: MiB,
    walBytesMax: 4 * MiB,
    stallMsMax,
    note: (event: string) => notes.push(event),
  };
  const store = openStore(options, { disk, clock: systemClock, random: systemRandom });
  await store.ready;
  const dispose = async (): Promise<void> => {
    release();
    await store.close();
    fs.rmSync(dataDir, { recursive: true, force: true });
  };
  const largeFiles = (): string[] => fs.readdirSync(path.join(dataDir, "large"));
  return { store, notes, largeFiles, [Symbol.asyncDispose]: dispose };
}

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (fault: Fault) => fault.code,
  );

test("writers of a log that hangs are let go, reads go on, and writes as soon as it answers", async () => {
  const hanging = makeHangingDisk();
  await using own = await openOn(hanging);
  const { store } = own;
  await store.commit(putOf("before"));
  const stage = store.stage(2 * MiB);
  await stage.write(new Uint8Array(2 * MiB));
  const staged = await stage.finish(nameOf("large"), facts);

  hanging.hang("/segments/");
  const inGroup = codeOf(store.commit(putOf("in the group")));
  await until("the group hangs", () => hanging.heldCount > 0);
  const waiting = codeOf(store.commit(putOf("waiting")));
  const largeWaiting = codeOf(store.commit(putOf("large", staged)));
  expect(store.condition().stall).toBe(null);
  expect(await inGroup).toBe("outcomeUnknown");
  expect(await Promise.all([waiting, largeWaiting])).toEqual(["unavailable", "unavailable"]);
  expect(store.condition().stall?.by).toBe("log");
  expect(await codeOf(store.commit(putOf("later")))).toBe("unavailable");
  expect(() => store.stage(1)).toThrow("does not take writes now");
  expect(store.find(nameOf("before"))?.sizeBytes).toBe(100);

  hanging.release();
  await until("the store answers again", () => store.condition().stall === null);
  expect(await codeOf(store.commit(putOf("after")))).toBe("done");
  // Nobody knew how it would end; it ended well.
  expect(store.find(nameOf("in the group"))?.sizeBytes).toBe(100);
  expect([store.find(nameOf("waiting")), store.find(nameOf("large"))]).toEqual([null, null]);
  expect(own.largeFiles()).toEqual([]);
  expect(own.notes.filter((note) => /wedged|again/.test(note))).toEqual([
    "wedged",
    "answering again",
  ]);
});

test("a group that hangs before it is written is refused, and what was let go is not written afterwards", async () => {
  const hanging = makeHangingDisk();
  await using own = await openOn(hanging);
  const { store } = own;
  // A segment has 8 MiB here: the next group has to begin another one.
  for (let i = 0; i < 8; i++) await store.commit(putOf(`k${i}`, new Uint8Array(MiB - 100 * KiB)));
  const segments = store.segments().length;
  hanging.hang("/segments/");
  const put = codeOf(store.commit(putOf("let go", new Uint8Array(MiB - 100 * KiB))));
  await until("the new segment hangs", () => hanging.heldCount > 0);
  expect(store.segments()).toHaveLength(segments + 1);
  expect(await put).toBe("unavailable");
  hanging.release();
  await until("the store answers again", () => store.condition().stall === null);
  expect(await codeOf(store.commit(putOf("after")))).toBe("done");
  expect(store.find(nameOf("let go"))).toBe(null);
});

test("an upload whose file hangs keeps it open until the disk has answered, and leaves nothing then", async () => {
  const hanging = makeHangingDisk();
  await using own = await openOn(hanging);
  const { store } = own;
  const stage = store.stage(2 * MiB);
  hanging.hang("/large/");
  const write = codeOf(stage.write(new Uint8Array(2 * MiB)));
  await until("the write hangs", () => hanging.heldCount > 0);
  stage.discard();
  expect(own.largeFiles()).toHaveLength(1);
  expect(store.usage().usedBytes).toBeGreaterThan(2 * MiB);
  hanging.release();
  expect(await write).toBe("done");
  await until("its file has gone", () => own.largeFiles().length === 0);
  expect(hanging.closedTooEarly).toEqual([]);
  expect(store.usage().usedBytes).toBeLessThan(2 * MiB);
});
