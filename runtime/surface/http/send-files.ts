import type { Clock, Timer } from "../../base/clock.ts";
import type { Descriptors } from "../../base/descriptors.ts";
import type { Disk, DiskFile } from "../../base/disk.ts";
import { idleSendFileMsMax, idleSendFilesMax } from "../../base/limits.ts";
import type { FileUser } from "../../store/file-users.ts";

type Entry = {
  readonly path: string;
  readonly file: DiskFile;
  uses: number;
  /** Closed once nobody uses it any more, and lent to nobody else. */
  isDropped: boolean;
  /** The look at idle files before which it was last given back. */
  givenBack: number;
};

export type SendFilesDeps = {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Null for no end to what may be open. */
  readonly descriptors: Descriptors | null;
};

/** A file on loan; `close` gives it back, once. */
export type LentFile = { readonly file: DiskFile; readonly close: () => void };

/** Those who wait for a descriptor to open one file; fires when somebody has opened it. */
type Awaited = { readonly opened: AbortController; count: number };

/** Who wants a file; the signal is asked for only when there is a wait. */
export type Wanting = { readonly signal: AbortSignal };

/**
 * Files whose bytes are on their way out. An open file can be read even when its name is gone, so a download outlives
 * whatever happens to the name. The least recently used ones are closed when nobody uses them, and sooner when somebody
 * waits for a descriptor.
 */
export class SendFiles implements FileUser {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #descriptors: Descriptors | null;
  /** By path, the most recently used last. */
  readonly #entries = new Map<string, Entry>();
  /** In use and dropped: their bytes stay on the disk for as long as somebody reads them. */
  readonly #dropped = new Set<Entry>();
  readonly #awaited = new Map<string, Awaited>();
  #newest: Entry | null = null;
  #idleCount = 0;
  #looks = 0;
  #timer: Timer | null = null;

  constructor({ disk, clock, descriptors }: SendFilesDeps) {
    this.#disk = disk;
    this.#clock = clock;
    this.#descriptors = descriptors;
    descriptors?.onShort(() => this.#closeIdle());
  }

  /**
   * Null when there is no such file; a promise when it has to wait for a descriptor, which ends with Fault "overloaded"
   * or, when whoever wants it is gone, "clientClosed".
   */
  lend(path: string, wanting: Wanting): LentFile | null | Promise<LentFile | null> {
    const known = this.#entries.get(path);
    if (known !== undefined) return this.#lendKnown(path, known);
    const descriptors = this.#descriptors;
    if (descriptors === null || descriptors.sending.tryTake()) return this.#lendNew(path);
    return this.#lendLater(path, descriptors, wanting.signal);
  }

  async #lendLater(
    path: string,
    { sending }: Descriptors,
    signal: AbortSignal,
  ): Promise<LentFile | null> {
    const awaited = this.#await(path);
    const { opened } = awaited;
    try {
      await sending.take(AbortSignal.any([signal, opened.signal]));
    } catch (error) {
      const known = this.#entries.get(path);
      if (known !== undefined && !signal.aborted) return this.#lendKnown(path, known);
      if (!opened.signal.aborted || signal.aborted) throw error;
      // It has been closed again already.
      return await this.lend(path, { signal });
    } finally {
      awaited.count -= 1;
      if (awaited.count === 0 && this.#awaited.get(path) === awaited) this.#awaited.delete(path);
    }
    const known = this.#entries.get(path);
    if (known === undefined) return this.#lendNew(path);
    // Somebody else has opened it meanwhile.
    sending.give();
    return this.#lendKnown(path, known);
  }

  #await(path: string): Awaited {
    const awaited = this.#awaited.get(path) ?? { opened: new AbortController(), count: 0 };
    awaited.count += 1;
    this.#awaited.set(path, awaited);
    return awaited;
  }

  #lendKnown(path: string, known: Entry): LentFile {
    if (known.uses === 0) this.#idleCount -= 1;
    known.uses += 1;
    // Most downloads come from the segment that the one before came from.
    if (known !== this.#newest) {
      this.#entries.delete(path);
      this.#entries.set(path, known);
      this.#newest = known;
    }
    return this.#lent(known);
  }

  /** With a descriptor taken for it. */
  #lendNew(path: string): LentFile | null {
    const file = this.#open(path);
    if (file === null) return null;
    const entry = { path, file, uses: 1, isDropped: false, givenBack: 0 };
    this.#entries.set(path, entry);
    this.#newest = entry;
    // Whoever waits for a descriptor to open the same file needs none any more.
    const awaited = this.#awaited.get(path);
    this.#awaited.delete(path);
    awaited?.opened.abort();
    return this.#lent(entry);
  }

  #lent(entry: Entry): LentFile {
    let isLent = true;
    const close = (): void => {
      if (isLent) this.#giveBack(entry);
      isLent = false;
    };
    return { file: entry.file, close };
  }

  isUsing(path: string): boolean {
    if ((this.#entries.get(path)?.uses ?? 0) > 0) return true;
    for (const entry of this.#dropped) if (entry.path === path) return true;
    return false;
  }

  /** The file goes: an open one would keep its space on the disk. Who reads from it reads on. */
  drop(path: string): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    entry.isDropped = true;
    if (entry.uses === 0) {
      this.#close(path, entry);
      return;
    }
    this.#entries.delete(path);
    this.#dropped.add(entry);
    if (this.#newest === entry) this.#newest = null;
  }

  #open(path: string): DiskFile | null {
    let file: DiskFile | null = null;
    try {
      file = this.#disk.open(path, "read");
      return file;
    } finally {
      if (file === null) this.#descriptors?.sending.give();
    }
  }

  #giveBack(entry: Entry): void {
    entry.uses -= 1;
    if (entry.uses > 0) return;
    if (entry.isDropped) {
      this.#dropped.delete(entry);
      this.#release(entry);
      return;
    }
    entry.givenBack = this.#looks;
    this.#idleCount += 1;
    this.#timer ??= this.#clock.every(idleSendFileMsMax / 2, () => this.#look());
    if (this.#idleCount > idleSendFilesMax || this.#descriptors?.isShort === true) {
      this.#closeIdle();
    }
  }

  /** Closes what nobody has used since the look before. */
  #look(): void {
    for (const [path, entry] of this.#entries) {
      if (entry.uses === 0 && entry.givenBack < this.#looks) this.#close(path, entry);
    }
    this.#looks += 1;
    if (this.#idleCount > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Closes the file that nobody has used for the longest time; false when all are in use. */
  #closeIdle(): boolean {
    if (this.#idleCount === 0) return false;
    for (const [oldest, entry] of this.#entries) {
      if (entry.uses > 0) continue;
      this.#close(oldest, entry);
      return true;
    }
    return false;
  }

  /** One that nobody uses. */
  #close(path: string, entry: Entry): void {
    this.#entries.delete(path);
    if (this.#newest === entry) this.#newest = null;
    this.#idleCount -= 1;
    this.#release(entry);
  }

  #release(entry: Entry): void {
    try {
      entry.file.close();
    } finally {
      this.#descriptors?.sending.give();
    }
  }
}
