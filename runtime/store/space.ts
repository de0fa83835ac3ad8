import type { Disk } from "../base/disk.ts";
import { Fault } from "../base/fault.ts";
import { MiB } from "../base/units.ts";
import type { StoreFiles } from "./files.ts";

/** Free space that puts leave alone, so that SQLite never meets a full disk first. */
const freeForPutsBytes = 4 * MiB;
/** Cleans and deletes are tiny and make things smaller in the end: they may go on for longer. */
const freeForCleansBytes = 1 * MiB;

/** What the store may take: a capacity of its own, and what the file system has left. */
export class Space {
  readonly #disk: Disk;
  readonly #dataDir: string;
  readonly #files: StoreFiles;
  readonly capacityBytes: number;
  #reservedBytes = 0;

  constructor(options: { disk: Disk; dataDir: string; files: StoreFiles; capacityBytes: number }) {
    this.#disk = options.disk;
    this.#dataDir = options.dataDir;
    this.#files = options.files;
    this.capacityBytes = options.capacityBytes;
  }

  /** Bytes of all data files and of uploads that were announced. */
  get usedBytes(): number {
    return this.#files.usedBytes + this.#reservedBytes;
  }

  freeBytes(): number {
    return this.#disk.freeBytes(this.#dataDir);
  }

  /** Why `addedBytes` more cannot be stored now, or null when they can. */
  refusePut(addedBytes: number): Fault | null {
    if (this.usedBytes + addedBytes > this.capacityBytes) {
      const figures = `${this.usedBytes} of ${this.capacityBytes} bytes are taken`;
      return new Fault(
        "full",
        `Cannot store ${addedBytes} bytes more: ${figures}; raise KURA_CAS_CAPACITY_BYTES`,
      );
    }
    return this.#refuseLittleFree(addedBytes, freeForPutsBytes);
  }

  /** The same for changes that take no room for bodies. */
  refuseClean(addedBytes: number): Fault | null {
    return this.#refuseLittleFree(addedBytes, freeForCleansBytes);
  }

  /** Takes room for a body of known length before it arrives. `giveBack` once, when its file is counted or gone. */
  reserve(bytes: number): { giveBack(): void } {
    this.#reservedBytes += bytes;
    let isHeld = true;
    return {
      giveBack: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#reservedBytes -= bytes;
      },
    };
  }

  #refuseLittleFree(addedBytes: number, keepBytes: number): Fault | null {
    const freeBytes = this.freeBytes();
    const neededBytes = keepBytes + 2 * addedBytes;
    if (freeBytes >= neededBytes) return null;
    const figures = `${freeBytes} bytes are free, ${neededBytes} are needed`;
    return new Fault(
      "full",
      `Cannot write to ${this.#dataDir}: ${figures}; make room on this disk`,
    );
  }
}
