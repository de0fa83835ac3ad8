import fs from "node:fs";
import path from "node:path";
import { KiB, MiB } from "../../runtime/base/units.ts";
import { makeTemporaryFolder } from "./node-process.ts";
import { mountTmpfs, runAsRoot } from "./tmpfs.ts";

/** A file system of its own, small enough to be filled. */
export type SmallDisk = {
  /** Where it is mounted. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Takes all space but so much, down to the last block. */
  fill(leaveBytes: number): void;
  /** Gives back what `fill` took. */
  release(): void;
  unmount(): void;
};

export const smallDisks = [
  { name: "a tmpfs of 64 MiB", mount: mountSmallTmpfs },
  { name: "an ext4 of 128 MiB on a loop device", mount: mountLoopExt4 },
] as const;

const tmpfsBytes = 64 * MiB;
const ext4Bytes = 128 * MiB;
const fillerName = "filler";

export function mountSmallTmpfs(mountPath: string): SmallDisk {
  const mounted = mountTmpfs(mountPath, tmpfsBytes);
  return small(mountPath, tmpfsBytes, () => mounted.unmount());
}

/** Without blocks that only root may take, so that what is free is free for all. @throws without loop devices. */
export function mountLoopExt4(mountPath: string): SmallDisk {
  const folder = makeTemporaryFolder("ext4");
  const image = path.join(folder, "image");
  fs.writeFileSync(image, "");
  fs.truncateSync(image, ext4Bytes);
  runAsRoot(["mkfs.ext4", "-q", "-F", "-m", "0", image]);
  fs.mkdirSync(mountPath, { recursive: true });
  runAsRoot(["mount", "-o", "loop", image, mountPath]);
  return small(mountPath, ext4Bytes, () => {
    runAsRoot(["umount", "--lazy", mountPath]);
    fs.rmSync(folder, { recursive: true, force: true });
  });
}

function small(mountPath: string, sizeBytes: number, unmount: () => void): SmallDisk {
  const filler = path.join(mountPath, fillerName);
  return {
    path: mountPath,
    sizeBytes,
    fill: (leaveBytes) => fill(mountPath, filler, leaveBytes),
    release: () => fs.rmSync(filler, { force: true }),
    unmount,
  };
}

function fill(mountPath: string, filler: string, leaveBytes: number): void {
  const file = fs.openSync(filler, "a");
  try {
    for (const pieceBytes of [MiB, 4 * KiB]) {
      const piece = new Uint8Array(pieceBytes);
      while (freeBytes(mountPath) >= leaveBytes + pieceBytes && wrote(file, piece)) {}
    }
    fs.fsyncSync(file);
  } finally {
    fs.closeSync(file);
  }
}

/** A file system needs blocks for its own, so free bytes may not be there for a file. */
function wrote(file: number, piece: Uint8Array): boolean {
  try {
    return fs.writeSync(file, piece) === piece.length;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") return false;
    throw error;
  }
}

function freeBytes(mountPath: string): number {
  const { bavail, bsize } = fs.statfsSync(mountPath);
  return bavail * bsize;
}
