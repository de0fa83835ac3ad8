import type { Disk, DiskFile } from "../../base/disk.ts";
import { idleSendFilesMax } from "../../base/limits.ts";

type Entry = { readonly file: DiskFile; uses: number };

/** A file on loan; `close` gives it back, once. */
export type LentFile = { readonly file: DiskFile; readonly close: () => void };

/**
 * Files whose bytes are on their way out. An open file can be read even when its name is gone, so a download outlives
 * whatever happens to the name. The least recently used ones are closed when nobody uses them.
 */
export class SendFiles {
  readonly #disk: Disk;
  /** By path, the most recently used last. */
  readonly #entries = new Map<string, Entry>();
  #newest: Entry | null = null;
  #idleCount = 0;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Null when there is no such file. */
  lend(path: string): LentFile | null {
    const entry = this.#take(path);
    if (entry === null) return null;
    let isLent = true;
    const close = (): void => {
      if (isLent) this.#giveBack(entry);
      isLent = false;
    };
    return { file: entry.file, close };
  }

  #take(path: string): Entry | null {
    const known = this.#entries.get(path);
    if (known !== undefined) {
      if (known.uses === 0) this.#idleCount -= 1;
      known.uses += 1;
      // Most downloads come from the segment that the one before came from.
      if (known !== this.#newest) {
        this.#entries.delete(path);
        this.#entries.set(path, known);
        this.#newest = known;
      }
      return known;
    }
    const file = this.#disk.open(path, "read");
    if (file === null) return null;
    const entry = { file, uses: 1 };
    this.#entries.set(path, entry);
    this.#newest = entry;
    return entry;
  }

  #giveBack(entry: Entry): void {
    entry.uses -= 1;
    if (entry.uses > 0) return;
    this.#idleCount += 1;
    if (this.#idleCount <= idleSendFilesMax) return;
    for (const [oldest, { file, uses }] of this.#entries) {
      if (uses > 0) continue;
      this.#entries.delete(oldest);
      this.#idleCount -= 1;
      file.close();
      return;
    }
  }
}
