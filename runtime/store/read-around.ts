import type { DiskFile } from "../base/disk.ts";
import { filePageBytes } from "./format.ts";

/**
 * Fills `into` from the file and returns how many bytes it holds then. What cannot be read counts as zeros, which are
 * damage like any other: the rest of the file is not lost with it.
 */
export function readAround(file: DiskFile, into: Uint8Array, atBytes: number): number {
  try {
    return file.read(into, atBytes);
  } catch {
    for (let at = 0; at < into.length; at += filePageBytes) {
      const page = into.subarray(at, Math.min(at + filePageBytes, into.length));
      try {
        const count = file.read(page, atBytes + at);
        if (count === page.length) continue;
        into.fill(0, at + count);
        break;
      } catch {
        page.fill(0);
      }
    }
    return into.length;
  }
}
