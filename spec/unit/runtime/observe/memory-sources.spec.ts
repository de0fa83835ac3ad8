import { expect, test } from "bun:test";
import { KiB } from "../../../../runtime/base/units.ts";
import { memorySources } from "../../../../runtime/observe/memory-sources.ts";

const limitBytes = 1_000;

test("of a group of version 2 what cannot be taken back counts, and page cache does not", () => {
  const [source, next] = memorySources({ version: 2, folder: "/g", limitBytes });
  expect([source?.name, source?.path]).toEqual(["cgroup v2", "/g/memory.stat"]);
  expect(next?.name).toBe("process");
  const text = `anon 1
file 1000000
kernel 1000000
shmem 20
file_mapped 1000000
file_dirty 300
file_writeback 4000
sock 50000
slab_reclaimable 1000000
slab_unreclaimable 600000
anon_thp 1000000
inactive_anon 1000000
`;
  expect(source?.sum(text)).toBe(654_321);
});

test("of a group of version 1 the totals count, groups below it included", () => {
  const [source] = memorySources({ version: 1, folder: "/g", limitBytes });
  expect([source?.name, source?.path]).toEqual(["cgroup v1", "/g/memory.stat"]);
  const own = "cache 9000000\nrss 9000000\nshmem 9000000\ndirty 9000000\n";
  const totals = `total_cache 9000000
total_rss 1
total_rss_huge 9000000
total_shmem 20
total_dirty 300
total_writeback 4000
total_inactive_anon 9000000
`;
  expect(source?.sum(own + totals)).toBe(4_321);
  // Older kernels have no total_dirty.
  expect(source?.sum("total_cache 5\ntotal_rss 7\n")).toBe(7);
});

test("without a limit the anonymous and shared memory of the process counts, in KiB", () => {
  const [status, map] = memorySources(null);
  expect([status?.name, status?.path]).toEqual(["process", "/proc/self/status"]);
  expect([map?.name, map?.path]).toEqual(["process map", "/proc/self/smaps_rollup"]);
  const ofStatus = `VmHWM:	    9000 kB
VmRSS:	    9000 kB
RssAnon:	     112 kB
RssFile:	    9000 kB
RssShmem:	       2 kB
Threads:	9
`;
  const ofMap = `55c226cad000-7ffcade3d000 ---p 00000000 00:00 0                          [rollup]
Rss:                9000 kB
Pss_Anon:           9000 kB
Pss_Shmem:             2 kB
Anonymous:           112 kB
AnonHugePages:      9000 kB
`;
  expect([status?.sum(ofStatus), map?.sum(ofMap)]).toEqual([114 * KiB, 114 * KiB]);
  expect([status?.sum(ofMap), map?.sum(ofStatus)]).toEqual([null, null]);
});

test("a file of another form is known as such", () => {
  const texts = ["", "cache 5\nrss 7\n", "hello\n", "total_dirty 5\n"];
  for (const version of [1, 2] as const) {
    const [source] = memorySources({ version, folder: "/g", limitBytes });
    expect(texts.map((text) => source?.sum(text))).toEqual([null, null, null, null]);
  }
});
