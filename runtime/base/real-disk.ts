import fs from "node:fs";
import type { Disk, DiskFile } from "./disk.ts";
import { Fault, systemCode } from "./fault.ts";
import { kernelSend } from "./kernel-send.ts";

/** The one file of the runtime that touches node:fs for data. */
export const realDisk: Disk = {
  create: (path) =>
    openFile(path, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL),
  open(path, access) {
    try {
      return openFile(path, access === "read" ? fs.constants.O_RDONLY : fs.constants.O_RDWR);
    } catch (error) {
      if (error instanceof Fault && systemCode(error.cause) === "ENOENT") return null;
      throw error;
    }
  },
  list(folder) {
    return orNullWhenAbsent(`list ${folder}`, () => fs.readdirSync(folder)) ?? [];
  },
  makeFolder(path) {
    attempt(`make folder ${path}`, () => fs.mkdirSync(path, { recursive: true }));
  },
  remove(path) {
    const removed = orNullWhenAbsent(`remove ${path}`, () => {
      fs.unlinkSync(path);
      return true;
    });
    return removed ?? false;
  },
  rename(from, to) {
    attempt(`rename ${from} to ${to}`, () => fs.renameSync(from, to));
  },
  syncFolder(path) {
    attempt(`sync folder ${path}`, () => {
      const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
      try {
        fs.fsyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
    });
  },
  async syncFolderLater(path) {
    const fd = attempt(`open folder ${path}`, () =>
      fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY),
    );
    try {
      await settle(`sync folder ${path}`, (done) => fs.fsync(fd, done));
    } finally {
      fs.closeSync(fd);
    }
  },
  freeBytes(folder) {
    const stats = attempt(`ask for free space of ${folder}`, () => fs.statfsSync(folder));
    return stats.bavail * stats.bsize;
  },
  totalBytes(folder) {
    const stats = attempt(`ask for the size of ${folder}`, () => fs.statfsSync(folder));
    return stats.blocks * stats.bsize;
  },
  sizeBytes(path) {
    return orNullWhenAbsent(`stat ${path}`, () => fs.statSync(path).size);
  },
};

function openFile(path: string, flags: number): DiskFile {
  return new RealFile(
    path,
    attempt(`open ${path}`, () => fs.openSync(path, flags, 0o600)),
  );
}

class RealFile implements DiskFile {
  readonly path: string;
  #fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  read(into: Uint8Array, atBytes: number): number {
    return attempt(`read ${this.path}`, () => {
      let filled = 0;
      while (filled < into.length) {
        const count = fs.readSync(this.#fd, into, filled, into.length - filled, atBytes + filled);
        if (count === 0) break;
        filled += count;
      }
      return filled;
    });
  }

  write(bytes: Uint8Array, atBytes: number): void {
    attempt(`write ${bytes.length} bytes to ${this.path} at ${atBytes}`, () => {
      let written = 0;
      // A full disk gives a short count without an error; only the next call raises (measured on Bun 1.4.5).
      while (written < bytes.length) {
        const left = bytes.length - written;
        const count = fs.writeSync(this.#fd, bytes, written, left, atBytes + written);
        if (count === 0) throw new Error("the system wrote nothing and gave no reason");
        written += count;
      }
    });
  }

  async writeLater(bytes: Uint8Array, atBytes: number): Promise<void> {
    let written = 0;
    while (written < bytes.length) {
      const left = bytes.length - written;
      const count = await settle<number>(
        `write ${left} bytes to ${this.path} at ${atBytes + written}`,
        (done) => fs.write(this.#fd, bytes, written, left, atBytes + written, done),
      );
      if (count === 0) throw new Fault("internal", `Cannot write ${this.path}: no progress`);
      written += count;
    }
  }

  sync(): void {
    attempt(`sync ${this.path}`, () => fs.fdatasyncSync(this.#fd));
  }

  syncLater(): Promise<void> {
    return settle(`sync ${this.path}`, (done) => fs.fdatasync(this.#fd, done));
  }

  sizeBytes(): number {
    return attempt(`stat ${this.path}`, () => fs.fstatSync(this.#fd).size);
  }

  sendTo(socket: number, range: { atBytes: number; bytes: number }): number {
    return kernelSend(socket, this.#fd, range);
  }

  close(): void {
    const fd = this.#fd;
    if (fd < 0) return;
    // The system frees the number even when close fails: a second close could hit somebody else's file.
    this.#fd = -1;
    attempt(`close ${this.path}`, () => fs.closeSync(fd));
  }
}

function settle<T = void>(
  what: string,
  start: (done: (error: NodeJS.ErrnoException | null, value?: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(diskFault(what, error)) : resolve(value as T)));
  });
}

function attempt<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw diskFault(what, error);
  }
}

function orNullWhenAbsent<T>(what: string, run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw diskFault(what, error);
  }
}

function diskFault(what: string, cause: unknown): Fault {
  const name = systemCode(cause);
  const isFull = name === "ENOSPC" || name === "EDQUOT" || name === "EFBIG";
  return new Fault(isFull ? "full" : "internal", `Cannot ${what}: ${name ?? String(cause)}`, {
    cause,
  });
}
