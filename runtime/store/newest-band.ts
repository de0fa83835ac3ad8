import type { Disk } from "../base/disk.ts";
import type { StoreFiles } from "./files.ts";
import { decodeFileHeader, filePageBytes } from "./format.ts";
import { versionOfWall } from "./version.ts";

/** As much of the capacity counts as the newest. */
const share = 1 / 3;

/** The version above which the newest data lies: segments are in the order of their versions. */
export function newestBand(disk: Disk, files: StoreFiles, capacityBytes: number): number {
  let leftBytes = capacityBytes * share;
  let oldest = 0;
  for (const file of files.segmentNumbers().reverse()) {
    leftBytes -= files.sizeOf(file);
    if (leftBytes < 0 && oldest > 0) break;
    oldest = file;
  }
  return versionAtStart(disk, files.segmentPath(oldest));
}

/** When a segment was begun, as a version; above all versions when it does not say so. */
function versionAtStart(disk: Disk, path: string): number {
  const handle = disk.open(path, "read");
  if (handle === null) return Number.MAX_SAFE_INTEGER;
  try {
    const page = new Uint8Array(filePageBytes);
    handle.read(page, 0);
    const header = decodeFileHeader(page);
    return header === null ? Number.MAX_SAFE_INTEGER : versionOfWall(header.createdMs);
  } finally {
    handle.close();
  }
}
