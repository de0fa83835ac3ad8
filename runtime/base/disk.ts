/**
 * The file system as the store sees it. The real one is in `real-disk.ts`; the simulated one, which forgets what was
 * not flushed, is in `spec/support`. Both pass the same contract suite.
 *
 * Offsets and counts are bytes. Every method throws a Fault: "full" for ENOSPC and EDQUOT, "internal" for the rest,
 * with the system's error as the cause.
 */
export interface Disk {
  /** Makes a file that must not exist yet, open for reading and writing. */
  create(path: string): DiskFile;
  /** Opens an existing file, or returns null when there is none. */
  open(path: string, access: "read" | "readWrite"): DiskFile | null;
  /** Names of the entries of a folder, in no order; empty when the folder is absent. */
  list(folder: string): string[];
  makeFolder(path: string): void;
  /** False when there was nothing to remove. */
  remove(path: string): boolean;
  /** Moves a file over whatever has the target name. */
  rename(from: string, to: string): void;
  /** Makes the entries of a folder durable. */
  syncFolder(path: string): void;
  syncFolderLater(path: string): Promise<void>;
  /** Bytes that an unprivileged writer may still take on the file system of this folder. */
  freeBytes(folder: string): number;
  /** Size of the whole file system of this folder. */
  totalBytes(folder: string): number;
  /** Size of a file, or null when there is none. */
  sizeBytes(path: string): number | null;
}

export interface DiskFile {
  readonly path: string;
  /** Fills `into` from the file; returns fewer bytes only at the end of the file. */
  read(into: Uint8Array, atBytes: number): number;
  /** Writes all of `bytes` or throws: a short count is never success (Bun reports none on a full disk). */
  write(bytes: Uint8Array, atBytes: number): void;
  /** The same on a pool thread, so that the loop goes on; the bytes must stay unchanged until it settles. */
  writeLater(bytes: Uint8Array, atBytes: number): Promise<void>;
  /** fdatasync: what was written is durable once this returns. After a failure the file is never synced again. */
  sync(): void;
  syncLater(): Promise<void>;
  sizeBytes(): number;
  /**
   * Sends bytes into a socket by the kernel, without waiting: how many went, 0 at the end of the file, -1 when none
   * could. Absent where there is no such way; reading and writing always works.
   */
  sendTo?(socket: number, range: { atBytes: number; bytes: number }): number;
  close(): void;
}
