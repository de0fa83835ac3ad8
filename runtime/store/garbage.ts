import type { LiveSegments } from "./census.ts";
import type { StoreFiles } from "./files.ts";
import { filePageBytes } from "./format.ts";
import { pieceCount, recordHeaderBytes } from "./record.ts";
import { type Manifest, manifestFlags } from "./store.ts";

/** A segment with this share of it dead is worth writing the rest again. */
const deadShareMin = 0.5;
/** With less than this share of the capacity in use, nobody needs the room. */
const usedShareMin = 0.5;

/**
 * How much of each segment is of no use any more: bodies that were replaced or deleted. Counted since the start, and
 * whatever a walk over the index found.
 */
export class Garbage {
  readonly #files: StoreFiles;
  readonly #capacityBytes: number;
  readonly #bytes = new Map<number, number>();
  readonly #mostlyDead = new Set<number>();

  constructor(files: StoreFiles, capacityBytes: number) {
    this.#files = files;
    this.#capacityBytes = capacityBytes;
  }

  bytesOf(file: number): number {
    return this.#bytes.get(file) ?? 0;
  }

  /** The record behind a row of a segment is dead. */
  note(row: Manifest): void {
    if ((row.flags & manifestFlags.large) !== 0) return;
    const { metadataBytes, sizeBytes } = row;
    const recordBytes = recordHeaderBytes + metadataBytes + sizeBytes + 4 * pieceCount(sizeBytes);
    this.set(row.file, this.bytesOf(row.file) + recordBytes);
  }

  set(file: number, bytes: number): void {
    this.#bytes.set(file, bytes);
    if (bytes >= this.#files.sizeOf(file) * deadShareMin) this.#mostlyDead.add(file);
  }

  /** Takes over what a census found, for every segment before `active`: the dead records of cleaned scopes among it. */
  learn({ files, liveBytes }: Pick<LiveSegments, "files" | "liveBytes">, active: number): void {
    const live = new Map<number, number>();
    for (const [i, file] of files.entries()) live.set(file, liveBytes[i] ?? 0);
    for (const file of this.#files.segmentNumbers()) {
      if (file >= active || this.#files.isDead(file)) continue;
      this.set(file, this.#files.sizeOf(file) - filePageBytes - (live.get(file) ?? 0));
    }
  }

  drop(file: number): void {
    this.#bytes.delete(file);
    this.#mostlyDead.delete(file);
  }

  clear(): void {
    this.#bytes.clear();
    this.#mostlyDead.clear();
  }

  /** A segment that is worth collecting now, or null. Never `active`: its dead share is of what it will be. */
  mostlyDead(active: number): number | null {
    if (this.#files.usedBytes < this.#capacityBytes * usedShareMin) return null;
    for (const file of this.#mostlyDead) {
      if (file === active) continue;
      if (!this.#files.holds(file) || this.#files.isDead(file)) {
        this.drop(file);
        continue;
      }
      // Of a segment that went on growing, less may be dead than when it was noted.
      if (this.bytesOf(file) >= this.#files.sizeOf(file) * deadShareMin) return file;
      this.#mostlyDead.delete(file);
    }
    return null;
  }
}
