import { expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { StoreFiles } from "../../../../runtime/store/files.ts";
import { SimClock } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";

test("the segment that is being made is not the oldest one, although it is not the active one yet", () => {
  const disk = new SimDisk({
    calls: new SimCalls(),
    clock: new SimClock(),
    random: seededRandom(1),
  });
  disk.makeFolder("/data/segments");
  const files = new StoreFiles(disk, "/data");
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
