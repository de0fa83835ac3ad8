import { expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { KiB } from "../../../../runtime/base/units.ts";
import { StoreFiles } from "../../../../runtime/store/files.ts";
import { Garbage } from "../../../../runtime/store/garbage.ts";
import { SimClock } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";

function start(capacityBytes: number): { files: StoreFiles; garbage: Garbage } {
  const random = seededRandom(1);
  const disk = new SimDisk({ calls: new SimCalls(), clock: new SimClock(), random });
  disk.makeFolder("/data/segments");
  const files = new StoreFiles(disk, "/data");
  for (let i = 0; i < 3; i++) {
    const file = files.takeNumber();
    files.createSegment(file).close();
    files.setSegmentBytes(file, 100 * KiB);
  }
  return { files, garbage: new Garbage(files, capacityBytes) };
}

test("a segment is collected once half of it is dead, never the one that is written to", () => {
  const { garbage } = start(400 * KiB);
  garbage.set(2, 49 * KiB);
  expect(garbage.mostlyDead(3)).toBeNull();
  garbage.set(2, 50 * KiB);
  expect(garbage.mostlyDead(3)).toBe(2);
  expect(garbage.mostlyDead(2)).toBeNull();
});

test("nothing is collected while nobody needs the room, or of a file that is gone", () => {
  const { garbage } = start(1_000 * KiB);
  garbage.set(2, 90 * KiB);
  expect(garbage.mostlyDead(3)).toBeNull();
  const { files, garbage: needed } = start(400 * KiB);
  needed.set(2, 90 * KiB);
  files.markDead(2);
  expect(needed.mostlyDead(3)).toBeNull();
});

test("a segment that went on growing after it was noted is judged by what it became", () => {
  const { files, garbage } = start(400 * KiB);
  garbage.set(3, 60 * KiB);
  files.setSegmentBytes(3, 200 * KiB);
  expect(garbage.mostlyDead(1)).toBeNull();
  garbage.set(3, 100 * KiB);
  expect(garbage.mostlyDead(1)).toBe(3);
});
