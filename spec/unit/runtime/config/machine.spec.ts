import { expect, test } from "bun:test";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { GiB, MiB } from "../../../../runtime/base/units.ts";
import {
  findDescriptorLimit,
  findMachine,
  findMemoryLimitBytes,
} from "../../../../runtime/config/machine.ts";
import { diskWith } from "../../../support/text-disk.ts";

const unlimitedOfVersion1 = "9223372036854771712\n";

test("the soft limit of open files counts, and a missing one is assumed", () => {
  const line = "Max open files            1024                 524288               files     \n";
  const limits = `Limit                     Soft Limit           Hard Limit           Units     \n${line}`;
  expect(findDescriptorLimit(diskWith({ "/proc/self/limits": limits }))).toBe(1_024);
  const none = "Max open files            unlimited            unlimited            files     \n";
  expect(findDescriptorLimit(diskWith({ "/proc/self/limits": none }))).toBe(4_096);
  expect(findDescriptorLimit(diskWith({}))).toBe(4_096);
});

test("a control group of version 2 limits memory, also through a parent", () => {
  const cgroup = { "/proc/self/cgroup": "0::/kube/pod/box\n" };
  const own = { "/sys/fs/cgroup/kube/pod/box/memory.max": `${GiB}\n` };
  const parent = { "/sys/fs/cgroup/kube/memory.max": `${512 * MiB}\n` };
  const open = { "/sys/fs/cgroup/kube/pod/box/memory.max": "max\n" };
  expect(findMemoryLimitBytes(diskWith({ ...cgroup, ...own }), 8 * GiB)).toBe(GiB);
  expect(findMemoryLimitBytes(diskWith({ ...cgroup, ...own, ...parent }), 8 * GiB)).toBe(512 * MiB);
  expect(findMemoryLimitBytes(diskWith({ ...cgroup, ...open }), 8 * GiB)).toBe(8 * GiB);
});

test("a container that sees its own group as the root is limited by it", () => {
  const files = { "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": `${GiB}\n` };
  expect(findMemoryLimitBytes(diskWith(files), 8 * GiB)).toBe(GiB);
});

test("a control group of version 1 limits memory, and its word for unlimited does not", () => {
  const cgroup = { "/proc/self/cgroup": "5:cpu,cpuacct:/box\n4:memory:/box\n0::/\n" };
  const file = "/sys/fs/cgroup/memory/box/memory.limit_in_bytes";
  expect(findMemoryLimitBytes(diskWith({ ...cgroup, [file]: `${GiB}\n` }), 8 * GiB)).toBe(GiB);
  const open = diskWith({ ...cgroup, [file]: unlimitedOfVersion1 });
  expect(findMemoryLimitBytes(open, 8 * GiB)).toBe(8 * GiB);
});

test("without any control group the machine's memory counts, never less than 256 MiB", () => {
  expect(findMemoryLimitBytes(diskWith({}), 8 * GiB)).toBe(8 * GiB);
  expect(findMemoryLimitBytes(diskWith({}), MiB)).toBe(256 * MiB);
});

test("this machine has limits, and a folder that is not there yet has a file system", () => {
  const machine = findMachine(realDisk);
  expect(machine.descriptorLimit).toBeGreaterThanOrEqual(256);
  expect(machine.memoryLimitBytes).toBeGreaterThanOrEqual(256 * MiB);
  expect(machine.cpuCount).toBeGreaterThanOrEqual(1);
  expect(machine.fileSystemBytes("/no/such/folder")).toBeGreaterThan(0);
});
