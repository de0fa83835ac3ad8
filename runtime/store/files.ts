import { assert } from "../base/assert.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import { filePageBytes } from "./format.ts";
import type { SegmentFigures } from "./store.ts";

/** Folders of the data directory that belong to the store. */
export const storeFolders = ["segments", "large", "parts", "aside", "lock"] as const;

const numberDigits = 12;

/**
 * The data files of one store: which there are, how many bytes they take, and the next free number.
 * Numbers are never given out twice in the life of a store; segments and large files share them.
 */
export class StoreFiles {
  readonly #disk: Disk;
  readonly #dataDir: string;
  readonly #segments = new Map<number, number>();
  readonly #large = new Map<number, number>();
  #usedBytes = 0;
  #high = 0;
  /** The segment path that was asked for last: reads come in runs from one segment. */
  #lastSegment = { file: -1, path: "" };

  constructor(disk: Disk, dataDir: string) {
    this.#disk = disk;
    this.#dataDir = dataDir;
  }

  /** Reads both folders anew. Names that are not ours are left alone. */
  survey(): void {
    this.#segments.clear();
    this.#large.clear();
    this.#usedBytes = 0;
    for (const [folder, suffix, files] of [
      ["segments", ".seg", this.#segments],
      ["large", ".body", this.#large],
    ] as const) {
      for (const name of this.#disk.list(`${this.#dataDir}/${folder}`)) {
        const number = parseName(name, suffix);
        if (number === null) continue;
        this.#set(files, number, this.#disk.sizeBytes(`${this.#dataDir}/${folder}/${name}`) ?? 0);
      }
    }
  }

  segmentPath(file: number): string {
    if (file !== this.#lastSegment.file) {
      const path = `${this.#dataDir}/segments/${String(file).padStart(numberDigits, "0")}.seg`;
      this.#lastSegment = { file, path };
    }
    return this.#lastSegment.path;
  }

  largePath(file: number): string {
    return `${this.#dataDir}/large/${String(file).padStart(numberDigits, "0")}.body`;
  }

  /** Path of the file that holds a body. */
  pathOf(file: number, isLarge: boolean): string {
    return isLarge ? this.largePath(file) : this.segmentPath(file);
  }

  /** Segment numbers in ascending order, which is the order of the log. */
  segmentNumbers(): number[] {
    return [...this.#segments.keys()].sort((a, b) => a - b);
  }

  /** All segments, oldest first; `active` is the one that is written to. */
  segmentFigures(active: number): SegmentFigures[] {
    return this.segmentNumbers().map((file) => ({
      file,
      state: file === active ? "active" : "sealed",
      sizeBytes: this.#segments.get(file) ?? 0,
    }));
  }

  largeNumbers(): number[] {
    return [...this.#large.keys()];
  }

  holds(file: number): boolean {
    return this.#segments.has(file) || this.#large.has(file);
  }

  get segmentCount(): number {
    return this.#segments.size;
  }

  get largeCount(): number {
    return this.#large.size;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** The highest number given out so far. */
  get high(): number {
    return this.#high;
  }

  raiseHigh(file: number): void {
    this.#high = Math.max(this.#high, file);
  }

  takeNumber(): number {
    this.#high += 1;
    return this.#high;
  }

  createSegment(file: number): DiskFile {
    return this.#create(this.#segments, file, this.segmentPath(file));
  }

  createLarge(file: number): DiskFile {
    return this.#create(this.#large, file, this.largePath(file));
  }

  setSegmentBytes(file: number, sizeBytes: number): void {
    this.#set(this.#segments, file, sizeBytes);
  }

  setLargeBytes(file: number, sizeBytes: number): void {
    this.#set(this.#large, file, sizeBytes);
  }

  removeSegment(file: number): void {
    this.#disk.remove(this.segmentPath(file));
    this.#forget(this.#segments, file);
  }

  removeLarge(file: number): void {
    this.#disk.remove(this.largePath(file));
    this.#forget(this.#large, file);
  }

  #create(files: Map<number, number>, file: number, path: string): DiskFile {
    assert(file <= this.#high, "a file number is taken before its file is made");
    const handle = this.#disk.create(path);
    this.#set(files, file, filePageBytes);
    return handle;
  }

  #set(files: Map<number, number>, file: number, sizeBytes: number): void {
    this.#usedBytes += sizeBytes - (files.get(file) ?? 0);
    files.set(file, sizeBytes);
    this.raiseHigh(file);
  }

  #forget(files: Map<number, number>, file: number): void {
    this.#usedBytes -= files.get(file) ?? 0;
    files.delete(file);
  }
}

function parseName(name: string, suffix: string): number | null {
  if (!name.endsWith(suffix)) return null;
  const digits = name.slice(0, -suffix.length);
  if (digits.length !== numberDigits || !/^[0-9]+$/.test(digits)) return null;
  return Number(digits);
}
