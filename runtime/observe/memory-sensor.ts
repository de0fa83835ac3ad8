import type { Disk, DiskFile } from "../base/disk.ts";
import { KiB } from "../base/units.ts";
import type { Log } from "./log.ts";
import type { MemorySource } from "./memory-sources.ts";

/** `memory.stat` has 2 to 3 KiB; what is cut off is never one of the fields that count. */
const textBytesMax = 16 * KiB;

export type MemorySensorOptions = {
  readonly disk: Disk;
  readonly log: Log;
  /** Best first. */
  readonly sources: readonly MemorySource[];
};

/**
 * Tells the memory in use. The file of a source stays open: a look is one read. A source that fails is left for the next
 * one, with a line in the log, and for good.
 */
export class MemorySensor {
  readonly #disk: Disk;
  readonly #log: Log;
  readonly #sources: MemorySource[];
  readonly #buffer = new Uint8Array(textBytesMax);
  readonly #decoder = new TextDecoder();
  #file: DiskFile | null = null;

  constructor({ disk, log, sources }: MemorySensorOptions) {
    this.#disk = disk;
    this.#log = log;
    this.#sources = [...sources];
  }

  /** Where the figures come from now, or null when no source is left. */
  get source(): MemorySource["name"] | null {
    return this.#sources[0]?.name ?? null;
  }

  /** Bytes in use, or null when no source is left. */
  read(): number | null {
    for (let source = this.#sources[0]; source !== undefined; source = this.#sources[0]) {
      try {
        const text = this.#text(source);
        const usedBytes = text === null ? null : source.sum(text);
        if (usedBytes !== null) return usedBytes;
        this.#leave(source, text === null ? "it is not there" : "it lacks what counts");
      } catch (error) {
        this.#leave(source, error instanceof Error ? error : String(error));
      }
    }
    return null;
  }

  #text({ path }: MemorySource): string | null {
    this.#file ??= this.#disk.open(path, "read");
    if (this.#file === null) return null;
    const count = this.#file.read(this.#buffer, 0);
    return this.#decoder.decode(this.#buffer.subarray(0, count));
  }

  #leave(source: MemorySource, reason: string | Error): void {
    this.#file?.close();
    this.#file = null;
    this.#sources.shift();
    const next = this.source;
    const fields = { source: source.path, reason };
    if (next === null) this.#log.warn("memory is not watched: no source works", fields);
    else this.#log.warn("memory is looked for elsewhere: a source failed", { ...fields, next });
  }
}
