import { expect, test } from "bun:test";
import fs from "node:fs";
import { systemClock } from "../../../../runtime/base/clock.ts";
import { Descriptors } from "../../../../runtime/base/descriptors.ts";
import { Fault } from "../../../../runtime/base/fault.ts";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { type StageFile, StageFiles } from "../../../../runtime/store/stage-file.ts";
import { makeTemporaryFolder } from "../../../support/node-process.ts";

const openFiles = (folder: string): number =>
  fs.readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
    } catch {
      return false;
    }
  }).length;

type Bench = Disposable & {
  readonly folder: string;
  readonly descriptors: Descriptors;
  readonly make: (name: string) => StageFile;
};

function setUp(count: number, waitMsMax = 5_000): Bench {
  const folder = makeTemporaryFolder("stage-files");
  const descriptors = new Descriptors({ count, waitMsMax, clock: systemClock });
  const files = new StageFiles(realDisk, descriptors);
  return {
    folder,
    descriptors,
    make: (name) => files.adopt(realDisk.create(`${folder}/${name}`)),
    [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}

test("a hundred files that are written in turn need no more descriptors than there are", async () => {
  using bench = setUp(8);
  const random = seededRandom(7);
  const files = Array.from({ length: 100 }, (_, i) => bench.make(`f${i}`));
  const wanted = files.map(() => [] as Uint8Array[]);
  let most = 0;
  for (let round = 0; round < 5; round++) {
    const writes = files.map(async (file, i) => {
      const bytes = random.bytes(1 + random.below(1_000));
      const at = wanted[i]!.reduce((sum, { length }) => sum + length, 0);
      wanted[i]!.push(bytes);
      await file.writeLater(bytes, at);
      most = Math.max(most, openFiles(bench.folder));
    });
    await Promise.all(writes);
  }
  expect(most).toBeLessThanOrEqual(6);
  for (const [i, file] of files.entries()) {
    await file.syncLater();
    const body = Buffer.concat(wanted[i]!);
    const into = Buffer.alloc(body.length);
    expect(file.read(into, 0)).toBe(body.length);
    expect(Buffer.compare(into, body)).toBe(0);
    file.close();
    file.close();
  }
  expect([openFiles(bench.folder), bench.descriptors.used]).toEqual([0, 0]);
  expect(bench.descriptors.timeouts).toBe(0);
});

test("a file that finds no descriptor for too long is refused, and can be gone on with later", async () => {
  using bench = setUp(4, 20);
  const held = bench.descriptors.staging;
  while (held.tryTake());
  const file = bench.make("late");
  const late = await file.writeLater(Buffer.from("a"), 0).catch((error: unknown) => error);
  expect(late).toBeInstanceOf(Fault);
  expect([(late as Fault).code, bench.descriptors.timeouts]).toEqual(["overloaded", 1]);
  held.give();
  await file.writeLater(Buffer.from("b"), 0);
  file.close();
  expect(fs.readFileSync(file.path, "utf8")).toBe("b");
});

test("a file that is closed while it is written to is closed behind the write", async () => {
  using bench = setUp(4);
  const file = bench.make("busy");
  const write = file.writeLater(Buffer.from("whole"), 0);
  file.close();
  await write;
  expect([openFiles(bench.folder), bench.descriptors.used]).toEqual([0, 0]);
  expect(fs.readFileSync(file.path, "utf8")).toBe("whole");
});
