import os from "node:os";
import path from "node:path";
import type { Disk } from "../base/disk.ts";
import { readSystemFile } from "../base/system-file.ts";
import { MiB } from "../base/units.ts";
import { findLimitingGroup } from "./memory-group.ts";
import type { Machine } from "./setting.ts";

/** Assumed where the system does not tell, and the least we go by. @source surfaces.md 8.1, "Derivation inputs". */
const descriptorLimitAssumed = 4_096;
const descriptorLimitMin = 256;
const memoryLimitBytesMin = 256 * MiB;

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

/** What settings are derived from: the limit, or what is assumed in its place. */
export function findDescriptorLimit(disk: Disk): number {
  const soft = softDescriptorLimit(disk);
  return soft === null ? descriptorLimitAssumed : Math.max(descriptorLimitMin, soft);
}

/** The soft RLIMIT_NOFILE, which is what open() goes by; null when there is none or nobody tells it. */
export function softDescriptorLimit(disk: Disk): number | null {
  const limits = readSystemFile(disk, "/proc/self/limits") ?? "";
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? null : Number(soft);
}

/** The smallest memory limit of our control group and those above it, but never more than the machine has. */
export function findMemoryLimitBytes(disk: Disk, physicalBytes: number): number {
  const limitBytes = findLimitingGroup(disk)?.limitBytes ?? physicalBytes;
  return Math.max(memoryLimitBytesMin, Math.min(physicalBytes, limitBytes));
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
