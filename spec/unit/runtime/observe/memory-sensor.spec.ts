import { expect, test } from "bun:test";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { GiB, MiB } from "../../../../runtime/base/units.ts";
import { findMemoryGroups } from "../../../../runtime/config/memory-group.ts";
import type { Log, LogFields } from "../../../../runtime/observe/log.ts";
import { MemorySensor } from "../../../../runtime/observe/memory-sensor.ts";
import { memorySources } from "../../../../runtime/observe/memory-sources.ts";
import { diskWith } from "../../../support/text-disk.ts";

function keepLines(): { log: Log; lines: { message: string; fields: LogFields }[] } {
  const lines: { message: string; fields: LogFields }[] = [];
  const put = (message: string, fields: LogFields = {}): void => {
    lines.push({ message, fields });
  };
  return { log: { debug: put, info: put, warn: put, error: put }, lines };
}

const group = { version: 2, folder: "/g", limitBytes: GiB } as const;
const status = "/proc/self/status";

test("every look reads the file anew", () => {
  const files = { "/g/memory.stat": "anon 5\n" };
  const { log, lines } = keepLines();
  const sensor = new MemorySensor({ disk: diskWith(files), log, sources: memorySources(group) });
  expect(sensor.read()).toBe(5);
  files["/g/memory.stat"] = "anon 7\n";
  expect(sensor.read()).toBe(7);
  expect(sensor.source).toBe("cgroup v2");
  expect(lines).toEqual([]);
});

test("a source that fails is left for the next one with one line, and for good", () => {
  const files: Record<string, string> = {
    "/g/memory.stat": "anon 5\n",
    [status]: "RssAnon: 1 kB\n",
  };
  const { log, lines } = keepLines();
  const sensor = new MemorySensor({ disk: diskWith(files), log, sources: memorySources(group) });
  expect(sensor.read()).toBe(5);
  delete files["/g/memory.stat"];
  expect(sensor.read()).toBe(1_024);
  files["/g/memory.stat"] = "anon 5\n";
  expect(sensor.read()).toBe(1_024);
  expect(sensor.source).toBe("process");
  expect(lines.map(({ message }) => message)).toEqual([
    "memory is looked for elsewhere: a source failed",
  ]);
  expect(lines[0]?.fields).toMatchObject({ source: "/g/memory.stat", next: "process" });
});

test("without any source nothing is known, which is told once", () => {
  const { log, lines } = keepLines();
  const disk = diskWith({ [status]: "hello\n" });
  const sensor = new MemorySensor({ disk, log, sources: memorySources(group) });
  expect([sensor.read(), sensor.read(), sensor.source]).toEqual([null, null, null]);
  expect(lines.map(({ fields }) => fields.reason)).toEqual([
    "it is not there",
    "it lacks what counts",
    "it is not there",
  ]);
  expect(lines.at(-1)?.message).toBe("memory is not watched: no source works");
});

test("the files of this machine are understood, and see what this process takes", () => {
  const [own] = findMemoryGroups(realDisk);
  const held: Uint8Array[] = [];
  for (const source of memorySources(own ?? null)) {
    const { log, lines } = keepLines();
    const sensor = new MemorySensor({ disk: realDisk, log, sources: [source] });
    const before = sensor.read() ?? 0;
    held.push(new Uint8Array(64 * MiB).fill(1));
    const grownBytes = (sensor.read() ?? 0) - before;
    expect(before).toBeGreaterThan(4 * MiB);
    // Others of a group have a life of their own.
    if (source.path.startsWith("/proc/self/")) expect(grownBytes).toBeGreaterThan(40 * MiB);
    expect(lines).toEqual([]);
  }
  expect(held.every((bytes) => bytes[0] === 1)).toBe(true);
});
