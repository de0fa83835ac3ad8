import { expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { systemClock } from "../../../../runtime/base/clock.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { MiB } from "../../../../runtime/base/units.ts";
import { Ballast } from "../../../../runtime/store/ballast.ts";
import { WorkerMaintenance } from "../../../../runtime/store/worker-maintenance.ts";
import { makeTemporaryFolder } from "../../../support/node-process.ts";

const sizeBytes = 2 * MiB;

/** A ballast on the real disk, of which only the free space is made up. */
function makeBallast() {
  const dataDir = makeTemporaryFolder("ballast");
  const worker = new WorkerMaintenance(dataDir, systemClock);
  const free = { bytes: 100 * MiB };
  const notes: string[] = [];
  const ballast = new Ballast({
    disk: { ...realDisk, freeBytes: () => free.bytes },
    clock: systemClock,
    dataDir,
    sizeBytes,
    maintenance: () => worker,
    note: (event) => notes.push(event),
  });
  const file = path.join(dataDir, "ballast");
  const dispose = async (): Promise<void> => {
    await worker.close();
    fs.rmSync(dataDir, { recursive: true, force: true });
  };
  return { ballast, free, notes, file, dataDir, [Symbol.asyncDispose]: dispose };
}

test("it is laid in where there is room, released at need, and laid in again when there is room again", async () => {
  await using made = makeBallast();
  const { ballast, free, file } = made;
  expect(ballast.isMissing).toBe(false);
  await ballast.tend();
  expect([ballast.isMissing, fs.statSync(file).size]).toEqual([false, sizeBytes]);
  ballast.release();
  expect([ballast.isMissing, fs.existsSync(file)]).toEqual([true, false]);
  free.bytes = 4 * sizeBytes - 1;
  await ballast.tend();
  expect([ballast.isMissing, fs.existsSync(file)]).toEqual([true, false]);
  free.bytes = 4 * sizeBytes;
  await ballast.tend();
  expect([ballast.isMissing, fs.statSync(file).size]).toEqual([false, sizeBytes]);
  expect(made.notes).toEqual(["ballast released"]);
});

test("what an earlier run has laid in is there on a full disk as well", async () => {
  await using made = makeBallast();
  fs.writeFileSync(made.file, new Uint8Array(sizeBytes));
  made.free.bytes = 0;
  await made.ballast.tend();
  expect(made.ballast.isMissing).toBe(false);
});

test("a ballast that is released while it is made is missing, and made whole the next time", async () => {
  await using made = makeBallast();
  const making = made.ballast.tend();
  made.ballast.release();
  await making;
  expect(made.ballast.isMissing).toBe(true);
  await made.ballast.tend();
  expect([made.ballast.isMissing, fs.statSync(made.file).size]).toEqual([false, sizeBytes]);
});

test("where it cannot be made it is missing, and not tried again at once", async () => {
  await using made = makeBallast();
  fs.mkdirSync(made.file);
  await made.ballast.tend();
  await made.ballast.tend();
  expect([made.ballast.isMissing, made.notes]).toEqual([true, ["ballast not laid in"]]);
});
