import os from "node:os";
import path from "node:path";
import type { Disk } from "../base/disk.ts";
import type { Random } from "../base/random.ts";
import { KiB } from "../base/units.ts";

/** `sun_path` of a Unix socket holds 108 bytes with the closing NUL. @source unix(7) */
const socketPathBytesMax = 107;
const socketName = "admin.sock";
/** Tells where the socket is when the data directory's own path is too long for one. */
const pointerName = "admin.path";
const pointerBytesMax = 4 * KiB;

/** Where the socket of a node in this data directory is, or would be. */
export function findAdminSocket(disk: Disk, dataDir: string): string {
  return readPointer(disk, dataDir) ?? path.join(dataDir, socketName);
}

/**
 * Removes what an earlier node has left and returns the path to listen on. Only for the holder of the writer lock:
 * the socket of a living node would be removed as well.
 */
export function claimAdminSocket({
  disk,
  random,
  dataDir,
}: {
  disk: Disk;
  random: Random;
  dataDir: string;
}): string {
  const stale = readPointer(disk, dataDir);
  if (stale !== null) disk.remove(stale);
  disk.remove(path.join(dataDir, pointerName));
  const ownPath = path.join(dataDir, socketName);
  disk.remove(ownPath);
  if (Buffer.byteLength(ownPath) <= socketPathBytesMax) return ownPath;

  // The name cannot be foreseen, so nobody else on the machine can take it before us.
  const name = `kura-${Buffer.from(random.bytes(16)).toString("hex")}.sock`;
  const shortPath = path.join(os.tmpdir(), name);
  const pointer = disk.create(path.join(dataDir, pointerName));
  pointer.write(Buffer.from(shortPath), 0);
  pointer.close();
  return shortPath;
}

/** Takes the socket and its pointer away at an orderly end. */
export function dropAdminSocket(disk: Disk, dataDir: string): void {
  disk.remove(findAdminSocket(disk, dataDir));
  disk.remove(path.join(dataDir, pointerName));
}

function readPointer(disk: Disk, dataDir: string): string | null {
  const file = disk.open(path.join(dataDir, pointerName), "read");
  if (file === null) return null;
  try {
    const buffer = new Uint8Array(pointerBytesMax);
    const text = Buffer.from(buffer.subarray(0, file.read(buffer, 0))).toString();
    return path.isAbsolute(text) ? text : null;
  } finally {
    file.close();
  }
}
