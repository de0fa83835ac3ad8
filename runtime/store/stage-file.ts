import type { Descriptors } from "../base/descriptors.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import { Fault } from "../base/fault.ts";

/** Files that are open and that nobody is writing to, the longest first. */
export class StageFiles {
  readonly #disk: Disk;
  readonly #descriptors: Descriptors | null;
  readonly #idle = new Set<StageFile>();

  /** Without descriptors there is no end to what may be open. */
  constructor(disk: Disk, descriptors: Descriptors | null) {
    this.#disk = disk;
    this.#descriptors = descriptors;
    descriptors?.onShort(() => this.#closeOldest());
  }

  /** Takes a file that was just made. It is closed at once when there is no descriptor for it. */
  adopt(file: DiskFile): StageFile {
    const isOpen = this.#descriptors === null || this.#descriptors.staging.tryTake();
    return new StageFile(this, file, isOpen);
  }

  /** @throws Fault "overloaded" when there is no descriptor for it for too long. */
  async reopen(path: string): Promise<DiskFile> {
    await this.#descriptors?.staging.take();
    try {
      return this.openBriefly(path);
    } catch (error) {
      this.#descriptors?.staging.give();
      throw error;
    }
  }

  /** For a moment in which nobody else has his turn. */
  openBriefly(path: string): DiskFile {
    const file = this.#disk.open(path, "readWrite");
    if (file === null) throw new Fault("internal", `Cannot go on with ${path}: it is gone`);
    return file;
  }

  closed(): void {
    this.#descriptors?.staging.give();
  }

  busy(file: StageFile): void {
    this.#idle.delete(file);
  }

  idle(file: StageFile): void {
    if (this.#descriptors === null) return;
    if (this.#descriptors.isShort) file.park();
    else this.#idle.add(file);
  }

  #closeOldest(): boolean {
    const [oldest] = this.#idle;
    if (oldest === undefined) return false;
    oldest.park();
    return true;
  }
}

/**
 * A file that something comes into. While its client is slow it is closed when others need its descriptor, and opened
 * again with the next bytes: a thousand slow uploads need no more descriptors than there are.
 */
export class StageFile {
  readonly path: string;
  readonly #files: StageFiles;
  /** Null while it is parked. */
  #file: DiskFile | null;
  #opening: Promise<DiskFile> | null = null;
  #users = 0;
  #isClosed = false;

  constructor(files: StageFiles, file: DiskFile, isOpen: boolean) {
    this.#files = files;
    this.path = file.path;
    this.#file = isOpen ? file : null;
    if (!isOpen) file.close();
    else files.idle(this);
  }

  /** As `DiskFile.writeLater`. @throws Fault "overloaded" too, when there is no descriptor for it for too long. */
  writeLater(bytes: Uint8Array, atBytes: number): Promise<void> {
    return this.#use((file) => file.writeLater(bytes, atBytes));
  }

  syncLater(): Promise<void> {
    return this.#use((file) => file.syncLater());
  }

  /** As `DiskFile.read`. */
  read(into: Uint8Array, atBytes: number): number {
    if (this.#file !== null) return this.#file.read(into, atBytes);
    const file = this.#files.openBriefly(this.path);
    try {
      return file.read(into, atBytes);
    } finally {
      file.close();
    }
  }

  /** Closes it until it is used again, unless somebody uses it now. */
  park(): void {
    const file = this.#file;
    if (file === null || this.#users > 0) return;
    this.#file = null;
    this.#files.busy(this);
    try {
      file.close();
    } finally {
      this.#files.closed();
    }
  }

  close(): void {
    this.#isClosed = true;
    if (this.#users === 0) this.park();
  }

  async #use(run: (file: DiskFile) => Promise<void>): Promise<void> {
    this.#users += 1;
    this.#files.busy(this);
    try {
      await run(this.#file ?? (await this.#reopen()));
    } finally {
      this.#users -= 1;
      if (this.#users === 0) this.#rest();
    }
  }

  #rest(): void {
    if (this.#file === null) return;
    if (this.#isClosed) this.park();
    else this.#files.idle(this);
  }

  #reopen(): Promise<DiskFile> {
    this.#opening ??= this.#files
      .reopen(this.path)
      .then((file) => {
        this.#file = file;
        return file;
      })
      .finally(() => {
        this.#opening = null;
      });
    return this.#opening;
  }
}
