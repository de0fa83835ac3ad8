import fs from "node:fs";
import path from "node:path";
import { cpuUs, residentBytes } from "../../cli/bench/proc.ts";

/** What a node takes at one moment. */
export type NodeSample = {
  readonly rssBytes: number;
  readonly descriptors: number;
  /** Of them, data files: kept open to be read again. */
  readonly dataDescriptors: number;
  /** CPU time since its start, all threads, in microseconds. */
  readonly cpuUs: number;
  readonly disk: DiskUse;
};

/** Bytes of a data directory by what they are for; sizes of files, except where said. */
export type DiskUse = {
  /** Segments, and bodies in files of their own. */
  readonly dataBytes: number;
  /** The same as the file system counts it, in blocks. */
  readonly dataBlockBytes: number;
  /** Data files that have no name any more and are still open: listed nowhere, but the disk has them. */
  readonly unlinkedBytes: number;
  readonly indexBytes: number;
  /** The index's write-ahead log. */
  readonly walBytes: number;
  readonly partBytes: number;
  /** Whatever else lies there. */
  readonly otherBytes: number;
  readonly largeCount: number;
  readonly segmentCount: number;
  readonly segmentBytesMax: number;
};

const blockBytes = 512;
const indexName = "kura.db";

/** @throws when the process has ended. */
export function sampleNode(pid: number, dataDir: string): NodeSample {
  const rssBytes = residentBytes([pid]);
  const usedUs = cpuUs([pid]);
  const open = openFiles(pid, dataDir);
  if (rssBytes === null || usedUs === null || open === null) {
    throw new Error(`Cannot look at process ${pid}: it has ended`);
  }
  const { unlinkedBytes, descriptors, dataDescriptors } = open;
  const disk = { ...diskUse(dataDir), unlinkedBytes };
  return { rssBytes, cpuUs: usedUs, descriptors, dataDescriptors, disk };
}

/** Files that go while they are looked at count for nothing; without the process nothing is known of unlinked ones. */
export function diskUse(dataDir: string): DiskUse {
  const segments = folderUse(path.join(dataDir, "segments"));
  const large = folderUse(path.join(dataDir, "large"));
  const parts = folderUse(path.join(dataDir, "parts"));
  let [indexBytes, walBytes, otherBytes] = [0, 0, 0];
  for (const entry of entriesOf(dataDir)) {
    const file = path.join(dataDir, entry.name);
    if (entry.isDirectory()) {
      if (!["segments", "large", "parts"].includes(entry.name)) otherBytes += treeBytes(file);
      continue;
    }
    const bytes = statOf(file)?.size ?? 0;
    if (entry.name === indexName) indexBytes += bytes;
    else if (entry.name === `${indexName}-wal`) walBytes += bytes;
    else otherBytes += bytes;
  }
  return {
    dataBytes: segments.bytes + large.bytes,
    dataBlockBytes: segments.blockBytes + large.blockBytes,
    unlinkedBytes: 0,
    indexBytes,
    walBytes,
    partBytes: parts.bytes,
    otherBytes,
    largeCount: large.count,
    segmentCount: segments.count,
    segmentBytesMax: segments.bytesMax,
  };
}

type FolderUse = { bytes: number; blockBytes: number; count: number; bytesMax: number };

function folderUse(folder: string): FolderUse {
  const use = { bytes: 0, blockBytes: 0, count: 0, bytesMax: 0 };
  for (const entry of entriesOf(folder)) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      const inner = folderUse(file);
      use.bytes += inner.bytes;
      use.blockBytes += inner.blockBytes;
      use.count += inner.count;
      continue;
    }
    const stat = statOf(file);
    if (stat === null) continue;
    use.bytes += stat.size;
    use.blockBytes += stat.blocks * blockBytes;
    use.count += 1;
    use.bytesMax = Math.max(use.bytesMax, stat.size);
  }
  return use;
}

function treeBytes(folder: string): number {
  return folderUse(folder).bytes;
}

function entriesOf(folder: string): fs.Dirent[] {
  try {
    return fs.readdirSync(folder, { withFileTypes: true });
  } catch {
    return []; // Not made yet.
  }
}

function statOf(file: string): fs.Stats | null {
  try {
    return fs.lstatSync(file);
  } catch {
    return null; // Gone between two looks.
  }
}

type OpenFiles = { descriptors: number; dataDescriptors: number; unlinkedBytes: number };

const unlinkedEnd = " (deleted)";

/** Null when the process has ended. @source proc_pid_fd(5): the link of a file without a name says so at its end. */
function openFiles(pid: number, dataDir: string): OpenFiles | null {
  const folder = `/proc/${pid}/fd`;
  let names: string[];
  try {
    names = fs.readdirSync(folder);
  } catch {
    return null;
  }
  const open = { descriptors: names.length, dataDescriptors: 0, unlinkedBytes: 0 };
  const seen = new Set<number>();
  for (const name of names) {
    const target = linkOf(`${folder}/${name}`) ?? "";
    const isData = ["segments", "large"].some((part) => target.startsWith(`${dataDir}/${part}/`));
    if (!isData) continue;
    open.dataDescriptors += 1;
    const stat = target.endsWith(unlinkedEnd) ? followed(`${folder}/${name}`) : null;
    if (stat === null || seen.has(stat.ino)) continue;
    seen.add(stat.ino);
    open.unlinkedBytes += stat.size;
  }
  return open;
}

function linkOf(file: string): string | null {
  try {
    return fs.readlinkSync(file);
  } catch {
    return null;
  }
}

function followed(file: string): fs.Stats | null {
  try {
    return fs.statSync(file);
  } catch {
    return null;
  }
}
