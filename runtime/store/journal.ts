import { assert } from "../base/assert.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import { KiB } from "../base/units.ts";
import type { StoreFiles } from "./files.ts";
import {
  type BurntEnd,
  burntEndsMax,
  chainStart,
  encodeFileHeader,
  type FileHeader,
  filePageBytes,
  fileSeed,
  formatVersion,
} from "./format.ts";

/** Above this a group is written on a pool thread, so that the loop goes on. */
const writeInlineBytesMax = 256 * KiB;

/** The durable end of the log. */
export type LogTail = { readonly file: number; readonly endBytes: number; readonly chain: number };

export type JournalOptions = {
  readonly disk: Disk;
  readonly dataDir: string;
  readonly files: StoreFiles;
  readonly storeId: Uint8Array;
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  /** End of the log as recovery found it; file 0 when there is none. */
  readonly tail: LogTail;
  /** Files whose physical end lies beyond their durable end. */
  readonly burntEnds: ReadonlyMap<number, number>;
};

/**
 * The append side of the log: one open segment at most. What was appended exists only once `append` has returned.
 * A file whose write or sync failed is never written or synced again; `startSuccessor` names its durable end.
 */
export class Journal {
  readonly #options: JournalOptions;
  readonly #burntEnds: Map<number, number>;
  #tail: LogTail;
  #waitsSinceMs: number | null = null;
  #open: { readonly file: DiskFile; readonly seed: number } | null = null;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#tail = options.tail;
    this.#burntEnds = new Map(options.burntEnds);
  }

  get tail(): LogTail {
    return this.#tail;
  }

  /** Since when it waits for the disk, on the monotonic clock; null when it does not. */
  get waitsSinceMs(): number | null {
    return this.#waitsSinceMs;
  }

  /** Files with bytes that were never acknowledged, and where their durable part ends. */
  get burntEnds(): ReadonlyMap<number, number> {
    return this.#burntEnds;
  }

  /** Whether the next group can go to the open segment. */
  fits(groupBytes: number, segmentBytesMax: number): boolean {
    if (this.#open === null) return false;
    return (
      this.#tail.endBytes + groupBytes <= segmentBytesMax || this.#tail.endBytes <= filePageBytes
    );
  }

  /** Seed of the record headers of the open segment. */
  get seed(): number {
    assert(this.#open !== null, "a segment is open while records are encoded");
    return this.#open.seed;
  }

  /**
   * Makes a new segment whose header names the last one and its durable end, and makes both durable.
   * A crash before the end leaves a segment without records, which recovery removes or walks over.
   */
  async startSuccessor(): Promise<void> {
    const { disk, dataDir, files, storeId, wallMs } = this.#options;
    this.seal();
    const predecessor = this.#tail;
    for (const file of this.#burntEnds.keys()) {
      if (!files.holds(file)) this.#burntEnds.delete(file);
    }
    const number = files.takeNumber();
    const header: FileHeader = {
      formatVersion,
      storeId,
      file: number,
      predecessor: predecessor.file,
      predecessorEndBytes: predecessor.endBytes,
      createdMs: wallMs(),
      burntEnds: newestEnds(this.#burntEnds),
    };
    const file = files.createSegment(number);
    try {
      file.write(encodeFileHeader(header), 0);
      await this.#wait(file.syncLater());
      await this.#wait(disk.syncFolderLater(`${dataDir}/segments`));
    } catch (error) {
      this.#abandon(file, number);
      throw error;
    }
    this.#open = { file, seed: fileSeed(storeId, number) };
    this.#tail = { file: number, endBytes: filePageBytes, chain: chainStart(header) };
  }

  /**
   * Appends a group of encoded records and makes it durable.
   * On a fault nothing of it exists: call `startSuccessor` before any waiter is told so.
   */
  async append(group: Uint8Array, chain: number): Promise<void> {
    const open = this.#open;
    assert(open !== null, "a segment is open while a group is appended");
    const { file, endBytes } = this.#tail;
    try {
      if (group.length <= writeInlineBytesMax) open.file.write(group, endBytes);
      else await this.#wait(open.file.writeLater(group, endBytes));
      await this.#wait(open.file.syncLater());
    } catch (error) {
      this.#burn(open.file);
      throw error;
    }
    this.#tail = { file, endBytes: endBytes + group.length, chain };
    this.#options.files.setSegmentBytes(file, endBytes + group.length);
  }

  /** Takes back the last group: its records are durable but will never be read, once a successor says so. */
  voidBack(tail: LogTail): void {
    assert(tail.file === this.#tail.file, "only the last group is taken back");
    assert(tail.endBytes <= this.#tail.endBytes, "a log is taken back, not forward");
    if (this.#open !== null) this.#burn(this.#open.file);
    this.#tail = tail;
    this.#burntEnds.set(tail.file, tail.endBytes);
  }

  /** Ends the open segment without a word on disk; the next `startSuccessor` states its end. */
  seal(): void {
    if (this.#open === null) return;
    const { file } = this.#open;
    // Forgotten first: a close that fails has freed the descriptor all the same, and must not be repeated.
    this.#open = null;
    file.close();
  }

  async #wait(call: Promise<void>): Promise<void> {
    this.#waitsSinceMs = this.#options.monotonicMs();
    try {
      await call;
    } finally {
      this.#waitsSinceMs = null;
    }
  }

  #burn(file: DiskFile): void {
    this.#burntEnds.set(this.#tail.file, this.#tail.endBytes);
    // A failed append may have left bytes behind the end: they take space until the segment goes.
    const physicalBytes = this.#options.disk.sizeBytes(file.path) ?? this.#tail.endBytes;
    this.#options.files.setSegmentBytes(this.#tail.file, physicalBytes);
    this.seal();
  }

  #abandon(file: DiskFile, number: number): void {
    try {
      file.close();
      this.#options.files.removeSegment(number);
    } catch {
      // It holds no record, so recovery walks over it; the caller reports the first fault.
    }
  }
}

/**
 * The ends that fit a header, newest first. An older one stands in the header of its direct successor all the same:
 * that segment must not be removed before it.
 */
function newestEnds(burntEnds: ReadonlyMap<number, number>): BurntEnd[] {
  const ends = [...burntEnds].map(([file, endBytes]) => ({ file, endBytes }));
  return ends.sort((left, right) => right.file - left.file).slice(0, burntEndsMax);
}
