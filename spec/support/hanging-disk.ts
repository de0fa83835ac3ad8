import type { Disk, DiskFile } from "../../runtime/base/disk.ts";
import { realDisk } from "../../runtime/base/real-disk.ts";

/** The real disk, which stops answering syncs and writes on the pool when it is told to. */
export type HangingDisk = {
  readonly disk: Disk;
  /** From now on calls on paths with this in them do not come back. */
  hang(pathPart: string): void;
  /** Lets all calls go that were held, and holds none any more. */
  release(): void;
  /** Calls that are held now. */
  readonly heldCount: number;
  /** Files that were closed while a call on them was held: a descriptor that somebody else may have by now. */
  readonly closedTooEarly: readonly string[];
};

export function makeHangingDisk(): HangingDisk {
  let hangsOn: string | null = null;
  const held: (() => void)[] = [];
  const closedTooEarly: string[] = [];

  const wrap = (file: DiskFile): DiskFile => {
    let pendingCount = 0;
    const later = async (run: () => Promise<void>): Promise<void> => {
      pendingCount += 1;
      if (hangsOn !== null && file.path.includes(hangsOn)) {
        await new Promise<void>((resolve) => held.push(resolve));
      }
      await run().finally(() => {
        pendingCount -= 1;
      });
    };
    return {
      path: file.path,
      read: (into, at) => file.read(into, at),
      write: (bytes, at) => file.write(bytes, at),
      writeLater: (bytes, at) => later(() => file.writeLater(bytes, at)),
      sync: () => file.sync(),
      syncLater: () => later(() => file.syncLater()),
      sizeBytes: () => file.sizeBytes(),
      close() {
        if (pendingCount > 0) closedTooEarly.push(file.path);
        file.close();
      },
    };
  };
  return {
    disk: {
      ...realDisk,
      create: (path) => wrap(realDisk.create(path)),
      open(path, access) {
        const file = realDisk.open(path, access);
        return file === null ? null : wrap(file);
      },
    },
    hang: (pathPart) => {
      hangsOn = pathPart;
    },
    release: () => {
      hangsOn = null;
      for (const go of held.splice(0)) go();
    },
    get heldCount() {
      return held.length;
    },
    closedTooEarly,
  };
}
