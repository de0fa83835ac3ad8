import { assert } from "../base/assert.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import { MiB } from "../base/units.ts";
import { filePageBytes } from "./format.ts";
import type { SegmentFigures } from "./store.ts";
import { UnsyncedBytes } from "./unsynced.ts";

/** Folders of the data directory that belong to the store. */
export const storeFolders = ["segments", "large", "parts", "aside", "lock"] as const;

const numberDigits = 12;
const usualUnsyncedBytes = 256 * MiB;

/**
 * The data files of one store: which there are, how many bytes they take, and the next free number.
 * Numbers are never given out twice in the life of a store; segments and large files share them.
 */
export class StoreFiles {
  readonly #disk: Disk;
  readonly #dataDir: string;
  readonly #segments = new Map<number, number>();
  /** By age of their last use, the oldest first. */
  readonly #large = new Map<number, number>();
  /** Ages of large files that were used since they were made, as the number that a file made then would have. */
  readonly #usedAt = new Map<number, number>();
  /** Large files that no record names yet. */
  readonly #arriving = new Set<number>();
  /** Of these, the ones that are whole and wait for their record. */
  readonly #whole = new Set<number>();
  readonly #dead = new Set<number>();
  #usedBytes = 0;
  #deadBytes = 0;
  #high = 0;
  /** The segment path that was asked for last: reads come in runs from one segment. */
  #lastSegment = { file: -1, path: "" };
  /** Told when a file is gone. */
  onFreed: () => void = () => {};

  /** Of the large files that are being written. */
  readonly unsynced: UnsyncedBytes;

  constructor(disk: Disk, dataDir: string, unsyncedBytesMax = usualUnsyncedBytes) {
    this.#disk = disk;
    this.#dataDir = dataDir;
    this.unsynced = new UnsyncedBytes(unsyncedBytesMax);
  }

  /** Reads both folders anew. Names that are not ours are left alone, and what is being written goes on arriving. */
  survey(): void {
    for (const held of [this.#segments, this.#large, this.#usedAt, this.#dead]) held.clear();
    this.#usedBytes = 0;
    this.#deadBytes = 0;
    for (const [folder, suffix, files] of [
      ["segments", ".seg", this.#segments],
      ["large", ".body", this.#large],
    ] as const) {
      for (const name of this.#disk.list(`${this.#dataDir}/${folder}`).sort()) {
        const number = parseName(name, suffix);
        if (number === null) continue;
        this.#set(files, number, this.#disk.sizeBytes(`${this.#dataDir}/${folder}/${name}`) ?? 0);
      }
    }
    for (const file of this.#arriving) if (!this.#large.has(file)) this.settleLarge(file);
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

  /** Path of a file that is known. */
  anyPathOf(file: number): string {
    return this.pathOf(file, this.isLarge(file));
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

  /** Of them, bytes of files that only wait to be unlinked. */
  get deadBytes(): number {
    return this.#deadBytes;
  }

  sizeOf(file: number): number {
    return this.#segments.get(file) ?? this.#large.get(file) ?? 0;
  }

  isLarge(file: number): boolean {
    return this.#large.has(file);
  }

  isDead(file: number): boolean {
    return this.#dead.has(file);
  }

  /** Says that no row names a file any more. It is there, and counts, until it is removed. */
  markDead(file: number): void {
    if (this.#dead.has(file) || !this.holds(file)) return;
    this.#dead.add(file);
    this.#deadBytes += this.sizeOf(file);
  }

  /** The oldest segment before `active`, or null. One with a higher number is about to become the active one. */
  oldestSegment(active: number): number | null {
    let oldest: number | null = null;
    for (const file of this.#segments.keys()) {
      if (file >= active || this.#dead.has(file)) continue;
      if (oldest === null || file < oldest) oldest = file;
    }
    return oldest;
  }

  /** The large files that a record names, the one that was used longest ago first. */
  *largeByAge(): Generator<number> {
    for (const file of this.#large.keys()) {
      if (!this.#dead.has(file) && !this.#arriving.has(file)) yield file;
    }
  }

  /** When a large file was made or used last, as the number that a file made then would have. */
  ageOf(file: number): number {
    return this.#usedAt.get(file) ?? file;
  }

  /** Makes a large file the youngest. */
  touchLarge(file: number): void {
    const sizeBytes = this.#large.get(file);
    if (sizeBytes === undefined) return;
    this.#large.delete(file);
    this.#large.set(file, sizeBytes);
    this.#usedAt.set(file, this.#high);
  }

  /** Says that a record names this large file now, or may do so. */
  settleLarge(file: number): void {
    this.#arriving.delete(file);
    this.#whole.delete(file);
  }

  /** Says that nothing more comes into this large file: soon a record names it, or it is gone. */
  noteWhole(file: number): void {
    if (this.#arriving.has(file)) this.#whole.add(file);
  }

  /** Large files that are whole and that no record names yet. */
  get wholeCount(): number {
    return this.#whole.size;
  }

  /** Bytes of files that a record may name: what is on its way in cannot go yet, and what is dead has gone. */
  get liveBytes(): number {
    let arrivingBytes = 0;
    for (const file of this.#arriving) arrivingBytes += this.#large.get(file) ?? 0;
    return this.#usedBytes - this.#deadBytes - arrivingBytes;
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
    const handle = this.#create(this.#large, file, this.largePath(file));
    this.#arriving.add(file);
    return handle;
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
    const addedBytes = sizeBytes - (files.get(file) ?? 0);
    this.#usedBytes += addedBytes;
    if (this.#dead.has(file)) this.#deadBytes += addedBytes;
    files.set(file, sizeBytes);
    this.raiseHigh(file);
  }

  /** Says that the file was unlinked. */
  forget(file: number): void {
    this.#forget(this.#segments.has(file) ? this.#segments : this.#large, file);
  }

  #forget(files: Map<number, number>, file: number): void {
    const sizeBytes = files.get(file) ?? 0;
    this.#usedBytes -= sizeBytes;
    if (this.#dead.delete(file)) this.#deadBytes -= sizeBytes;
    files.delete(file);
    this.#usedAt.delete(file);
    this.settleLarge(file);
    this.onFreed();
  }
}

function parseName(name: string, suffix: string): number | null {
  if (!name.endsWith(suffix)) return null;
  const digits = name.slice(0, -suffix.length);
  if (digits.length !== numberDigits || !/^[0-9]+$/.test(digits)) return null;
  return Number(digits);
}
