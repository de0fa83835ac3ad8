import { realDisk } from "../../runtime/base/real-disk.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";

/** What Linux tells of its processes; on other systems there are no such files and every answer is "unknown". */

/** Linux reports CPU time in ticks of 10 ms on every machine of today (USER_HZ is 100). */
const usPerTick = 10_000;
/** A line for each socket: enough for ten thousand of them. */
const fileBytesMax = 2 * MiB;

/** CPU time that these processes have used since they began, all threads, in microseconds; null when one is gone. */
export function cpuUs(pids: readonly number[]): number | null {
  return sumOf(pids, (pid) => {
    const ticks = cpuTicks(pid);
    return ticks === null ? null : ticks * usPerTick;
  });
}

/** Resident memory of these processes together; pages they share count for each. Null when one is gone. */
export function residentBytes(pids: readonly number[]): number | null {
  return sumOf(pids, (pid) => {
    const found = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(`/proc/${pid}/status`) ?? "");
    return found === null ? null : Number(found[1]) * KiB;
  });
}

export type MachineTicks = { readonly total: number; readonly steal: number };

/** @source proc_stat(5): user nice system idle iowait irq softirq steal, in ticks since the start of the machine. */
export function machineTicks(): MachineTicks {
  const line = (readProc("/proc/stat") ?? "").split("\n", 1)[0] ?? "";
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  return { total: ticks.reduce((sum, tick) => sum + tick, 0), steal: ticks[7] ?? 0 };
}

/** Share of the machine's time that others took between two looks, in percent. */
export function stealPercent(before: MachineTicks, after: MachineTicks): number {
  const total = after.total - before.total;
  return total === 0 ? 0 : (100 * (after.steal - before.steal)) / total;
}

/** Processes of this user that listen on a TCP port of this machine, workers that share the socket included. */
export function listenersOf(port: number): number[] {
  const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
  const inodes = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((file) =>
    // @source proc_net(5): number, local address, remote address, state (0A listens), ..., inode.
    (readProc(file) ?? "").split("\n").flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      const isWanted = fields[1]?.endsWith(`:${hexPort}`) === true && fields[3] === "0A";
      return isWanted && fields[9] !== undefined ? [fields[9]] : [];
    }),
  );
  return ownersOf(new Set(inodes));
}

/** Processes of this user that hold a Unix socket with this path. */
export function holdersOfUnixSocket(path: string): number[] {
  const lines = (readProc("/proc/net/unix") ?? "").split("\n");
  const inodes = lines.flatMap((line) => {
    // Number, references, protocol, flags, type, state, inode, path.
    const match = /^\S+: \S+ \S+ \S+ \S+ \S+ +(\d+) (.+)$/.exec(line);
    return match?.[2] === path && match[1] !== undefined ? [match[1]] : [];
  });
  return ownersOf(new Set(inodes));
}

/** The cores this process may run on, in order. */
export function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readProc("/proc/self/status") ?? "")?.[1];
  return (list ?? "").split(",").flatMap((part) => {
    const [first = Number.NaN, last = first] = part.split("-").map(Number);
    return first <= last ? Array.from({ length: last - first + 1 }, (_, i) => first + i) : [];
  });
}

/** Type of the file system that a folder lies on, such as "ext4"; null when the system does not tell. */
export function fileSystemType(folder: string): string | null {
  let best = { point: "", type: "" };
  for (const line of (readProc("/proc/self/mounts") ?? "").split("\n")) {
    const [, point = "", type = ""] = line.split(" ");
    const isAbove = folder === point || folder.startsWith(point === "/" ? "/" : `${point}/`);
    if (point !== "" && isAbove && point.length >= best.point.length) best = { point, type };
  }
  return best.type === "" ? null : best.type;
}

/** @source proc_pid_fdinfo(5): "ino" is the number of the open file, which for a socket is the socket's own. */
function ownersOf(inodes: ReadonlySet<string>): number[] {
  if (inodes.size === 0) return [];
  return processes().filter((pid) =>
    list(`/proc/${pid}/fdinfo`).some((fd) => {
      const inode = /^ino:\s+(\d+)$/m.exec(readProc(`/proc/${pid}/fdinfo/${fd}`) ?? "")?.[1];
      return inode !== undefined && inodes.has(inode);
    }),
  );
}

function processes(): number[] {
  return list("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** @source proc_pid_stat(5): fields 14 (utime) and 15 (stime); the name in field 2 may hold spaces and brackets. */
function cpuTicks(pid: number): number | null {
  const text = readProc(`/proc/${pid}/stat`);
  if (text === null) return null;
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function sumOf(pids: readonly number[], of: (pid: number) => number | null): number | null {
  let sum = 0;
  for (const pid of pids) {
    const value = of(pid);
    if (value === null) return null;
    sum += value;
  }
  return sum;
}

let scratch: Uint8Array | null = null;

/** Null when it is not there, not ours to read, or gone between two looks: processes come and go. */
function readProc(path: string): string | null {
  try {
    const file = realDisk.open(path, "read");
    if (file === null) return null;
    try {
      scratch ??= new Uint8Array(fileBytesMax);
      return Buffer.from(scratch.buffer, 0, file.read(scratch, 0)).toString("latin1");
    } finally {
      file.close();
    }
  } catch {
    return null;
  }
}

function list(folder: string): string[] {
  try {
    return realDisk.list(folder);
  } catch {
    return [];
  }
}
