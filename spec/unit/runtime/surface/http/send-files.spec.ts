import { expect, test } from "bun:test";
import { Descriptors } from "../../../../../runtime/base/descriptors.ts";
import { seededRandom } from "../../../../../runtime/base/random.ts";
import { KiB } from "../../../../../runtime/base/units.ts";
import { type LentFile, SendFiles } from "../../../../../runtime/surface/http/send-files.ts";
import { SimClock, turn } from "../../../../support/sim-clock.ts";
import { SimDisk } from "../../../../support/sim-disk.ts";
import { SimCalls } from "../../../../support/sim-disk-calls.ts";

const path = "/data/file";
const wanting = { signal: new AbortController().signal };

function bench(descriptors: (clock: SimClock) => Descriptors | null = () => null) {
  const clock = new SimClock();
  const random = seededRandom(41);
  const disk = new SimDisk({ calls: new SimCalls(), clock, random });
  disk.makeFolder("/data");
  const bytes = random.bytes(4 * KiB);
  disk.create(path).write(bytes, 0);
  const files = new SendFiles({ disk, clock, descriptors: descriptors(clock) });
  const lend = (): LentFile => {
    const lent = files.lend(path, wanting);
    if (lent === null || lent instanceof Promise) throw new Error("the file is not there");
    return lent;
  };
  return { disk, clock, files, bytes, lend };
}

test("a file that was dropped is in use until its last reader is done, who has the right bytes", () => {
  const { disk, files, bytes, lend } = bench();
  const [first, second] = [lend(), lend()];
  files.drop(path);
  disk.remove(path);
  expect([files.isUsing(path), files.lend(path, wanting)]).toEqual([true, null]);
  first.close();
  first.close();
  expect(files.isUsing(path)).toBe(true);
  const read = new Uint8Array(bytes.length);
  expect(second.file.read(read, 0)).toBe(bytes.length);
  expect(Buffer.compare(read, bytes)).toBe(0);
  second.close();
  expect(files.isUsing(path)).toBe(false);
});

test("a file that was opened again while its name was going is in use by either reader", () => {
  const { files, lend } = bench();
  const first = lend();
  files.drop(path);
  const second = lend();
  files.drop(path);
  second.close();
  expect(files.isUsing(path)).toBe(true);
  first.close();
  expect(files.isUsing(path)).toBe(false);
});

test("those who wait for a descriptor to open one file share it once it is open", async () => {
  const { disk, clock, files, lend } = bench(
    (ours) => new Descriptors({ count: 4, waitMsMax: 5_000, clock: ours }),
  );
  const others = ["a", "b", "c"].map((name) => {
    disk.create(`/data/${name}`);
    return files.lend(`/data/${name}`, wanting);
  });
  const gone = new AbortController();
  const waiting = [wanting, wanting, { signal: gone.signal }, wanting].map(async (each) => {
    return await files.lend(path, each);
  });
  const settled = Promise.allSettled(waiting);
  gone.abort();
  const [first] = others;
  if (first === null || first === undefined || first instanceof Promise) throw new Error("no file");
  first.close();
  await turn();
  const ends = await settled;
  expect(ends.map(({ status }) => status)).toEqual([
    "fulfilled",
    "fulfilled",
    "rejected",
    "fulfilled",
  ]);
  for (const end of ends) if (end.status === "fulfilled") end.value?.close();
  expect(files.isUsing(path)).toBe(false);
  lend().close();
  expect(clock.monotonicMs()).toBe(0);
});
