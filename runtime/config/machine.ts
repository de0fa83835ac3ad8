import os from "node:os";
import path from "node:path";
import type { Disk } from "../base/disk.ts";
import { KiB, MiB } from "../base/units.ts";
import type { Machine } from "./setting.ts";

/** Assumed where the system does not tell, and the least we go by. @source surfaces.md 8.1, "Derivation inputs". */
const descriptorLimitAssumed = 4_096;
const descriptorLimitMin = 256;
const memoryLimitBytesMin = 256 * MiB;

/** The files of /proc and /sys that we read are shorter than a page. */
const systemFileBytesMax = 64 * KiB;

/** Control group paths have few parts; the loop up to the root ends here whatever the path looks like. */
const controlGroupDepthMax = 32;

/** Finds the limits of this machine. Reads only, and never fails: what cannot be read counts as not limited. */
export function findMachine(disk: Disk): Machine {
  return {
    descriptorLimit: findDescriptorLimit(disk),
    memoryLimitBytes: findMemoryLimitBytes(disk, os.totalmem()),
    cpuCount: Math.max(1, os.availableParallelism()),
    hostName: os.hostname(),
    fileSystemBytes: (folder) => findFileSystemBytes(disk, folder),
  };
}

/** The soft RLIMIT_NOFILE, which is what open() goes by. */
export function findDescriptorLimit(disk: Disk): number {
  const limits = readSystemFile(disk, "/proc/self/limits") ?? "";
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  if (soft === undefined || soft === "unlimited") return descriptorLimitAssumed;
  return Math.max(descriptorLimitMin, Number(soft));
}

/**
 * The smallest memory limit of our control group and those above it, version 2 or 1, but never more than the machine
 * has: version 1 writes "no limit" as a number near 2^63.
 */
export function findMemoryLimitBytes(disk: Disk, physicalBytes: number): number {
  let limitBytes = physicalBytes;
  for (const line of (readSystemFile(disk, "/proc/self/cgroup") ?? "").split("\n")) {
    const [, controllers, groupPath] = line.split(":");
    if (controllers === undefined || groupPath === undefined) continue;
    if (controllers === "") {
      limitBytes = Math.min(limitBytes, smallest(disk, "/sys/fs/cgroup", groupPath, "memory.max"));
    } else if (controllers.split(",").includes("memory")) {
      const root = "/sys/fs/cgroup/memory";
      limitBytes = Math.min(limitBytes, smallest(disk, root, groupPath, "memory.limit_in_bytes"));
    }
  }
  return Math.max(memoryLimitBytesMin, limitBytes);
}

/** Inside a container the group's own path may not exist under its mount, so each parent is asked, up to the root. */
function smallest(disk: Disk, root: string, groupPath: string, file: string): number {
  let limitBytes = Number.POSITIVE_INFINITY;
  let folder = path.join("/", groupPath);
  for (let depth = 0; depth < controlGroupDepthMax; depth++) {
    const text = readSystemFile(disk, path.join(root, folder, file))?.trim() ?? "";
    if (/^\d+$/.test(text)) limitBytes = Math.min(limitBytes, Number(text));
    if (folder === "/") break;
    folder = path.dirname(folder);
  }
  return limitBytes;
}

/** The folder need not exist yet: then its nearest existing parent tells. */
function findFileSystemBytes(disk: Disk, folder: string): number {
  for (let current = path.resolve(folder); ; current = path.dirname(current)) {
    try {
      return disk.totalBytes(current);
    } catch {
      if (current === path.dirname(current)) return 0;
    }
  }
}

function readSystemFile(disk: Disk, filePath: string): string | null {
  try {
    const file = disk.open(filePath, "read");
    if (file === null) return null;
    try {
      const buffer = new Uint8Array(systemFileBytesMax);
      return new TextDecoder().decode(buffer.subarray(0, file.read(buffer, 0)));
    } finally {
      file.close();
    }
  } catch {
    // Not ours to read, or not there at all: the caller has an assumption for that.
    return null;
  }
}
