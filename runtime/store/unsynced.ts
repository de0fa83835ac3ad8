import { KiB, MiB } from "../base/units.ts";

/** Of the bound, and at least: a sync for less costs more than it writes, as long as the bound is near. */
const syncShare = 1 / 16;
const syncBytesMin = 4 * MiB;
/** Far above the bound a body syncs as soon as it has this much. */
const syncBytesLeast = 256 * KiB;

/**
 * What large bodies on their way in have written and not synced yet. The kernel cannot take such memory back before it is
 * on disk, so it counts as memory in use: eight uploads held 464 of the 512 MiB of a control group with it while the
 * program itself held 38, and others were refused for that (measured on 2026-11-22). Beyond a bound a body waits until
 * its part is on disk, which its end would have to wait for anyway.
 */
export class UnsyncedBytes {
  readonly #boundBytes: number;
  readonly #syncBytes: number;
  #bytes = 0;

  constructor(boundBytes: number) {
    this.#boundBytes = boundBytes;
    this.#syncBytes = Math.max(syncBytesMin, boundBytes * syncShare);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** So much more is not synced; less when it is negative. */
  note(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Whether a body with so much of it should sync now. */
  isDue(ownBytes: number): boolean {
    if (this.#bytes <= this.#boundBytes) return false;
    return ownBytes >= (this.#bytes <= 2 * this.#boundBytes ? this.#syncBytes : syncBytesLeast);
  }
}
