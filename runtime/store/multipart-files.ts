import { crc32 } from "../base/digest.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import { MiB } from "../base/units.ts";
import type { PartRow } from "./multipart-rows.ts";

const suffix = ".part";
const numberDigits = 12;
/** One read of a part on the loop: 0.3 ms from the page cache, and one write of the assembled body. */
const readBytes = 1 * MiB;
/** Short parts are opened one after the other; after this many the loop has a turn. */
const partsPerTurn = 64;

/**
 * The files of parts, `{data}/parts/{number}.part`. A file belongs to an upload only while a row names it, and no file
 * is written again once a row has named it: a part that is sent again gets a new file and then the row.
 */
export class PartFiles {
  readonly #disk: Disk;
  readonly #folder: string;
  #high = 0;

  constructor(disk: Disk, dataDir: string) {
    this.#disk = disk;
    this.#folder = `${dataDir}/parts`;
  }

  path(file: number): string {
    return `${this.#folder}/${String(file).padStart(numberDigits, "0")}${suffix}`;
  }

  /** Numbers of the files that are there. Later ones get higher numbers. */
  survey(): number[] {
    const found: number[] = [];
    for (const name of this.#disk.list(this.#folder)) {
      const digits = name.slice(0, -suffix.length);
      if (!name.endsWith(suffix) || !/^[0-9]{12}$/.test(digits)) continue;
      found.push(Number(digits));
      this.#high = Math.max(this.#high, Number(digits));
    }
    return found;
  }

  /** Numbers up to this one are taken, whether or not their files are there. */
  raiseHigh(file: number): void {
    this.#high = Math.max(this.#high, file);
  }

  create(): { file: number; handle: DiskFile } {
    this.#high += 1;
    return { file: this.#high, handle: this.#disk.create(this.path(this.#high)) };
  }

  remove(file: number): void {
    this.#disk.remove(this.path(file));
  }

  sizeBytes(file: number): number | null {
    return this.#disk.sizeBytes(this.path(file));
  }

  /**
   * Reads parts one behind the other, in chunks of up to 1 MiB through one buffer. Resolves with the first part that
   * is not as its row says, or with null.
   */
  async readAll(
    parts: readonly PartRow[],
    take: (chunk: Uint8Array) => Promise<void> | void,
    nextTurn: () => Promise<void>,
  ): Promise<PartRow | null> {
    // A write that ends at once would lead to the next read before anybody else has his turn (measured: 15 ms).
    const buffer = new ChunkBuffer(async (chunk) => {
      await take(chunk);
      await nextTurn();
    });
    for (const [place, part] of parts.entries()) {
      if (place % partsPerTurn === partsPerTurn - 1) await nextTurn();
      const isWhole = await this.#readOne(part, buffer);
      if (!isWhole) return part;
    }
    await buffer.flush();
    return null;
  }

  async #readOne(part: PartRow, buffer: ChunkBuffer): Promise<boolean> {
    const handle = this.#disk.open(this.path(part.file), "read");
    if (handle === null) return false;
    try {
      if (handle.sizeBytes() !== part.sizeBytes) return false;
      let crc = 0;
      for (let at = 0; at < part.sizeBytes; ) {
        const room = buffer.room(part.sizeBytes - at);
        if (handle.read(room, at) !== room.length) return false;
        crc = crc32(room, crc);
        at += room.length;
        await buffer.filled(room.length);
      }
      return crc === part.crc;
    } finally {
      handle.close();
    }
  }
}

/** Gathers what comes in pieces of any size into chunks of 1 MiB. */
class ChunkBuffer {
  readonly #bytes = new Uint8Array(readBytes);
  readonly #take: (chunk: Uint8Array) => Promise<void>;
  #fill = 0;

  constructor(take: (chunk: Uint8Array) => Promise<void>) {
    this.#take = take;
  }

  /** Where the next bytes go, at most as many as are wanted; never empty. */
  room(wantedBytes: number): Uint8Array {
    return this.#bytes.subarray(this.#fill, Math.min(this.#fill + wantedBytes, readBytes));
  }

  async filled(bytes: number): Promise<void> {
    this.#fill += bytes;
    if (this.#fill === readBytes) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#fill === 0) return;
    await this.#take(this.#bytes.subarray(0, this.#fill));
    this.#fill = 0;
  }
}
