import { crc32 } from "../base/digest.ts";
import type { Disk } from "../base/disk.ts";

/** In front of each file: a version that only this code reads, and the CRC of the rest. */
const headBytes = 8;
const hintVersion = 0x4b48_0001;

/** The payload; null when there is none, when it is not whole, or of another version. */
export function readHint(disk: Disk, path: string): Uint8Array | null {
  const file = disk.open(path, "read");
  if (file === null) return null;
  try {
    const bytes = new Uint8Array(file.sizeBytes());
    if (file.read(bytes, 0) < headBytes) return null;
    const view = new DataView(bytes.buffer);
    const payload = bytes.subarray(headBytes);
    const isOurs = view.getUint32(0, true) === hintVersion;
    return isOurs && view.getUint32(4, true) === crc32(payload) ? payload : null;
  } finally {
    file.close();
  }
}

/** Replaces a hint whole: whoever reads it meets the old one or the new one. Not synced. */
export function writeHint(disk: Disk, path: string, payload: Uint8Array): void {
  const head = new DataView(new ArrayBuffer(headBytes));
  head.setUint32(0, hintVersion, true);
  head.setUint32(4, crc32(payload), true);
  const next = `${path}.next`;
  disk.remove(next);
  const file = disk.create(next);
  try {
    file.write(new Uint8Array(head.buffer), 0);
    file.write(payload, headBytes);
  } catch (error) {
    disk.remove(next);
    throw error;
  } finally {
    file.close();
  }
  disk.rename(next, path);
}
