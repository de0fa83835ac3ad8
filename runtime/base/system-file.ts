import type { Disk } from "./disk.ts";
import { KiB } from "./units.ts";

/** The files of /proc and /sys that we read are shorter. */
const systemFileBytesMax = 64 * KiB;

/** The text of a file of /proc or /sys, or null: what is not ours to read, or not there at all, is no error. */
export function readSystemFile(disk: Disk, filePath: string): string | null {
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
    // The caller has an assumption for that.
    return null;
  }
}
