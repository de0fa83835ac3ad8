import path from "node:path";
import type { Disk } from "../base/disk.ts";
import { readSystemFile } from "../base/system-file.ts";

/** A control group that counts our memory. */
export type MemoryGroup = {
  /** Of the control groups: their files have other names. */
  readonly version: 1 | 2;
  readonly folder: string;
  /** Infinity without a limit. */
  readonly limitBytes: number;
};

/** Version 1 writes "no limit" as a number near 2^63; no machine has an exbibyte. */
const unlimitedBytesMin = 2 ** 60;

/** Control group paths have few parts; the loop up to the root ends here whatever the path looks like. */
const depthMax = 32;

const mounts = {
  1: { root: "/sys/fs/cgroup/memory", limitFile: "memory.limit_in_bytes" },
  2: { root: "/sys/fs/cgroup", limitFile: "memory.max" },
} as const;

/** Our control group and those above it, from the inside out. Reads only, and never fails. */
export function findMemoryGroups(disk: Disk): MemoryGroup[] {
  const groups: MemoryGroup[] = [];
  for (const line of (readSystemFile(disk, "/proc/self/cgroup") ?? "").split("\n")) {
    const [, controllers, groupPath] = line.split(":");
    if (controllers === undefined || groupPath === undefined) continue;
    if (controllers === "") groups.push(...groupsUpward(disk, 2, groupPath));
    else if (controllers.split(",").includes("memory")) {
      groups.push(...groupsUpward(disk, 1, groupPath));
    }
  }
  return groups;
}

/** The group whose limit is reached first, or null without any limit: its members end when it is. */
export function findLimitingGroup(disk: Disk): MemoryGroup | null {
  let found: MemoryGroup | null = null;
  for (const group of findMemoryGroups(disk)) {
    if (group.limitBytes < (found?.limitBytes ?? Number.POSITIVE_INFINITY)) found = group;
  }
  return found;
}

/** Inside a container the group's own path may not exist under its mount, so each parent is asked, up to the root. */
function groupsUpward(disk: Disk, version: 1 | 2, groupPath: string): MemoryGroup[] {
  const { root, limitFile } = mounts[version];
  const groups: MemoryGroup[] = [];
  let inner = path.join("/", groupPath);
  for (let depth = 0; depth < depthMax; depth++) {
    const folder = path.resolve(root, `.${inner}`);
    const text = readSystemFile(disk, path.join(folder, limitFile));
    if (text !== null) groups.push({ version, folder, limitBytes: parseLimit(text) });
    if (inner === "/") break;
    inner = path.dirname(inner);
  }
  return groups;
}

function parseLimit(text: string): number {
  const digits = text.trim();
  if (!/^\d+$/.test(digits)) return Number.POSITIVE_INFINITY;
  const limitBytes = Number(digits);
  return limitBytes < unlimitedBytesMin ? limitBytes : Number.POSITIVE_INFINITY;
}
