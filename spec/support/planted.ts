import type { Disk, DiskFile } from "../../runtime/base/disk.ts";
import type { Index, IndexHome } from "../../runtime/store/index.ts";
import type { Planted } from "./sim-store.ts";
import { isSegment } from "./sim-store-run.ts";

/**
 * Bugs that are put into Kura on purpose, at its seams: a suite that does not find them proves nothing. The numbers
 * are those of the list of planted bugs. Number 7, the tenant that is left out of the key, is no matter of a seam:
 * see planted-tenant.ts.
 */
export const plantedBugs = {
  /** 1: a group is acknowledged while its records are in the page cache only. */
  skipSegmentSync: (parts) => ({ ...parts, disk: withFiles(parts.disk, skipSync) }),
  /** 2: a new file is believed to be there although its folder was never synced. */
  skipFolderSync: ({ disk, home }) => ({
    home,
    disk: changed(disk, { syncFolder: () => {}, syncFolderLater: () => Promise.resolve() }),
  }),
  /** 3: the row is committed before the bytes that it names are written. */
  rowBeforeBytes: ({ disk, home }) => rowBeforeBytes(disk, home),
  /** 4: a write that came back short is taken for a whole one. */
  ignoreShortWrite: (parts) => ({ ...parts, disk: withFiles(parts.disk, ignoreShortWrite) }),
  /** 5: a failed sync is tried again, and the second success is believed. */
  retryFailedSync: (parts) => ({ ...parts, disk: withFiles(parts.disk, retrySync) }),
} as const satisfies Readonly<Record<string, Planted>>;

export type PlantedBug = keyof typeof plantedBugs;

/** The same disk with some methods replaced. */
function changed(disk: Disk, changes: Partial<Disk>): Disk {
  return new Proxy(disk, {
    get(target, name) {
      const own = changes[name as keyof Disk];
      if (own !== undefined) return own;
      const value = target[name as keyof Disk];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The same disk, whose files are wrapped. */
function withFiles(disk: Disk, wrap: (file: DiskFile) => DiskFile): Disk {
  return changed(disk, {
    create: (path) => wrap(disk.create(path)),
    open: (path, access) => {
      const file = disk.open(path, access);
      return file === null ? null : wrap(file);
    },
  });
}

function skipSync(file: DiskFile): DiskFile {
  if (!isSegment(file.path)) return file;
  return { ...file, sync: () => {}, syncLater: () => Promise.resolve() };
}

function ignoreShortWrite(file: DiskFile): DiskFile {
  return {
    ...file,
    write(bytes, atBytes) {
      try {
        file.write(bytes, atBytes);
      } catch {
        // The bug: nobody looks at the count.
      }
    },
    writeLater: (bytes, atBytes) => file.writeLater(bytes, atBytes).catch(() => {}),
  };
}

function retrySync(file: DiskFile): DiskFile {
  return {
    ...file,
    sync() {
      try {
        file.sync();
      } catch {
        file.sync();
      }
    },
    syncLater: () => file.syncLater().catch(() => file.syncLater()),
  };
}

/** Holds back what is written to a segment behind its first page until the index has the rows. */
function rowBeforeBytes(disk: Disk, home: IndexHome): { disk: Disk; home: IndexHome } {
  let held: (() => void)[] = [];
  const wrap = (file: DiskFile): DiskFile => {
    if (!isSegment(file.path)) return file;
    let isHeld = false;
    return {
      ...file,
      write(bytes, atBytes) {
        isHeld = atBytes > 0;
        if (isHeld) held.push(() => file.write(bytes, atBytes));
        else file.write(bytes, atBytes);
      },
      syncLater() {
        if (!isHeld) return file.syncLater();
        held.push(() => file.sync());
        return Promise.resolve();
      },
    };
  };
  return {
    disk: withFiles(disk, wrap),
    home: withIndex(home, (index) => {
      const apply = index.apply.bind(index);
      index.apply = (batch) => {
        apply(batch);
        const now = held;
        held = [];
        for (const run of now) run();
      };
      return index;
    }),
  };
}

function withIndex(home: IndexHome, wrap: (index: Index) => Index): IndexHome {
  return {
    exists: () => home.exists(),
    open: () => wrap(home.open()),
    reopen: () => wrap(home.reopen()),
    setAside: () => home.setAside(),
    markSuspect: (reason) => home.markSuspect(reason),
  };
}
