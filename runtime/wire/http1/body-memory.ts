import { MiB } from "../../base/units.ts";

/**
 * What bodies may hold together before no more of any is read; sixteen full reads. 200 uploads of 8 MiB at once cost
 * 129 to 144 MiB of resident memory without a limit and 32 to 36 with it, as fast as before; 500 slow ones once held
 * 218 MiB after the loop had been busy elsewhere (measured on 2026-11-22).
 */
export const bodiesBytesMax = 8 * MiB;

/** What bodies that wait for others may hold beside that: a first read each of 64, or of 500 that came in 64 KiB. */
export const asideBytesMax = 32 * MiB;

/**
 * Bytes of bodies that have come and that nobody is done with, over all connections of a listener. A handler is done
 * with a chunk when it asks for the next one.
 */
export class BodyMemory {
  readonly #bytesMax: number;
  readonly #changed: () => void;
  #heldBytes = 0;
  #asideBytes = 0;
  #isFull = false;

  /** `changed` is called when `isFull` has become something else. */
  constructor(changed: () => void, bytesMax = bodiesBytesMax) {
    this.#bytesMax = bytesMax;
    this.#changed = changed;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Nobody should read more: true from the limit on until half of it is held. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Counts bytes that are held elsewhere; false when too many are there, and nothing is changed. */
  moveAside(bytes: number): boolean {
    if (this.#asideBytes + bytes > asideBytesMax) return false;
    this.#asideBytes += bytes;
    this.hold(-bytes);
    return true;
  }

  /** Of what was moved aside, more is held, or less when `bytes` is negative. */
  holdAside(bytes: number): void {
    this.#asideBytes += bytes;
  }

  /** More is held, or less when `bytes` is negative. */
  hold(bytes: number): void {
    this.#heldBytes += bytes;
    const isFull = this.#heldBytes > (this.#isFull ? this.#bytesMax / 2 : this.#bytesMax);
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    this.#changed();
  }
}
