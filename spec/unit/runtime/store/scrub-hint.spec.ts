import { expect, test } from "bun:test";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { writeHint } from "../../../../runtime/store/hint-file.ts";
import {
  encodeScrubHint,
  readScrubHint,
  type ScrubHint,
} from "../../../../runtime/store/scrub-hint.ts";
import { SimClock } from "../../../support/sim-clock.ts";
import { SimDisk } from "../../../support/sim-disk.ts";
import { SimCalls } from "../../../support/sim-disk-calls.ts";

const random = seededRandom(1);
const path = "/position";
const nothing: ScrubHint = { position: null, last: null };
const last = {
  startedMs: 1_790_000_000_000,
  endedMs: 1_790_000_100_000,
  doneBytes: 5,
  damagedCount: 1,
};
const position = {
  isLarge: true,
  file: 3,
  atBytes: 77,
  fileHigh: 9,
  startedMs: 1_790_000_200_000,
  doneBytes: 12_345_678_901,
  damagedCount: 2,
};

function freshDisk(): SimDisk {
  return new SimDisk({ calls: new SimCalls(), clock: new SimClock(), random });
}

function readBack(hint: ScrubHint): ScrubHint {
  const disk = freshDisk();
  writeHint(disk, path, encodeScrubHint(hint));
  return readScrubHint(disk, path);
}

test("a hint comes back as it was kept", () => {
  for (const hint of [
    nothing,
    { position, last: null },
    { position: null, last },
    { position, last },
  ]) {
    expect(readBack(hint)).toEqual(hint);
  }
});

test("one that is not whole, not ours or not there says nothing", () => {
  const payload = encodeScrubHint({ position, last });
  for (let length = 0; length < payload.length; length++) {
    const disk = freshDisk();
    writeHint(disk, path, payload.slice(0, length));
    expect(readScrubHint(disk, path)).toEqual(nothing);
  }
  const disk = freshDisk();
  expect(readScrubHint(disk, path)).toEqual(nothing);
  writeHint(disk, path, payload);
  disk.open(path, "readWrite")?.write(new Uint8Array([7]), 30);
  expect(readScrubHint(disk, path)).toEqual(nothing);
});
