import { expect, test } from "bun:test";
import { GiB, MiB } from "../../../../runtime/base/units.ts";
import { findLimitingGroup, findMemoryGroups } from "../../../../runtime/config/memory-group.ts";
import { diskWith } from "../../../support/text-disk.ts";

const root = "/sys/fs/cgroup";

test("the group with the lowest limit is the one that ends us, be it ours or one above", () => {
  const cgroup = { "/proc/self/cgroup": "0::/pod/box\n" };
  const own = { [`${root}/pod/box/memory.max`]: `${GiB}\n` };
  const above = { [`${root}/pod/memory.max`]: `${512 * MiB}\n`, [`${root}/memory.max`]: "max\n" };
  expect(findLimitingGroup(diskWith({ ...cgroup, ...own }))).toEqual({
    version: 2,
    folder: `${root}/pod/box`,
    limitBytes: GiB,
  });
  expect(findLimitingGroup(diskWith({ ...cgroup, ...own, ...above }))?.folder).toBe(`${root}/pod`);
  const folders = findMemoryGroups(diskWith({ ...cgroup, ...own, ...above }));
  expect(folders.map(({ folder }) => folder)).toEqual([`${root}/pod/box`, `${root}/pod`, root]);
});

test("of two groups with the same limit the inner one counts", () => {
  const files = {
    "/proc/self/cgroup": "0::/pod/box\n",
    [`${root}/pod/box/memory.max`]: `${GiB}\n`,
    [`${root}/pod/memory.max`]: `${GiB}\n`,
  };
  expect(findLimitingGroup(diskWith(files))?.folder).toBe(`${root}/pod/box`);
});

test("without any limit, in both versions and without groups, there is none", () => {
  const version2 = { "/proc/self/cgroup": "0::/\n", [`${root}/memory.max`]: "max\n" };
  const version1 = {
    "/proc/self/cgroup": "4:memory:/box\n0::/\n",
    [`${root}/memory/box/memory.limit_in_bytes`]: "9223372036854771712\n",
  };
  for (const files of [version2, version1, {}]) {
    expect(findLimitingGroup(diskWith(files))).toBeNull();
  }
});

test("a container that sees its group of version 1 at the root of the mount is limited by it", () => {
  const files = {
    "/proc/self/cgroup": "4:memory:/docker/0123\n",
    [`${root}/memory/memory.limit_in_bytes`]: `${GiB}\n`,
  };
  expect(findLimitingGroup(diskWith(files))).toEqual({
    version: 1,
    folder: `${root}/memory`,
    limitBytes: GiB,
  });
});
