import { expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { StoreFiles } from "../../../../runtime/store/files.ts";
import { SimClock } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";

function makeFiles(): StoreFiles {
  const disk = new SimDisk({
    calls: new SimCalls(),
    clock: new SimClock(),
    random: seededRandom(1),
  });
  for (const folder of ["segments", "large"]) disk.makeFolder(`/data/${folder}`);
  return new StoreFiles(disk, "/data");
}

test("the segment that is being made is not the oldest one, although it is not the active one yet", () => {
  const files = makeFiles();
  const numbers = [1, 2, 3].map(() => {
    const number = files.takeNumber();
    files.createSegment(number).close();
    return number;
  });
  expect(files.oldestSegment(3)).toBe(numbers[0] ?? 0);
  files.markDead(1);
  expect(files.oldestSegment(3)).toBe(2);
  // The log still ends in 2: number 3 is synced with its folder, and then it becomes the active one.
  expect(files.oldestSegment(2)).toBeNull();
});

test("what may go is what a record may name: no body on its way in, and no file that is dead", () => {
  const files = makeFiles();
  const segment = files.takeNumber();
  files.createSegment(segment).close();
  files.setSegmentBytes(segment, 100_000);
  const [arriving, failing] = [0, 1].map(() => {
    const large = files.takeNumber();
    files.createLarge(large).close();
    files.setLargeBytes(large, 50_000);
    return large;
  });
  const figures = (): number[] => [
    files.liveBytes,
    files.wholeCount,
    [...files.largeByAge()].length,
  ];
  expect(files.usedBytes).toBe(200_000);
  expect(figures()).toEqual([100_000, 0, 0]);
  // Whole bodies wait for their records, and cannot go either.
  files.noteWhole(arriving ?? 0);
  files.noteWhole(failing ?? 0);
  expect(figures()).toEqual([100_000, 2, 0]);
  files.settleLarge(arriving ?? 0);
  expect(figures()).toEqual([150_000, 1, 1]);
  files.removeLarge(failing ?? 0);
  expect(figures()).toEqual([150_000, 0, 1]);
  files.markDead(segment);
  expect(figures()).toEqual([50_000, 0, 1]);
  files.forget(segment);
  expect(figures()).toEqual([50_000, 0, 1]);
});
