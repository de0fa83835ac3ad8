import { Fault } from "../base/fault.ts";
import type { Space } from "./space.ts";

/**
 * Bytes of part files: under a cap of their own, and inside the account of the store. What is held is the sum of what
 * is on its way in, what rows name, and what waits to be unlinked: bytes are free when they are free on disk.
 */
export class PartSpace {
  readonly #space: Space;
  readonly #storedBytesMax: number;
  /** Bytes that rows name. */
  readonly #namedBytes: () => number;
  #openBytes = 0;
  #doomedBytes = 0;
  #reservation: { giveBack(): void } | null = null;

  constructor(space: Space, storedBytesMax: number, namedBytes: () => number) {
    this.#space = space;
    this.#storedBytesMax = storedBytesMax;
    this.#namedBytes = namedBytes;
  }

  get heldBytes(): number {
    return this.#namedBytes() + this.#openBytes + this.#doomedBytes;
  }

  /** @throws Fault "overloaded" at the cap for parts, "full" when the store or its disk is. */
  open(bytes: number): void {
    if (this.heldBytes + bytes > this.#storedBytesMax) {
      throw new Fault(
        "overloaded",
        `Cannot take a part of ${bytes} bytes: ${this.heldBytes} of ${this.#storedBytesMax} bytes of parts wait to be completed (KURA_MULTIPART_MAX_STORED_BYTES); try again later`,
      );
    }
    const refusal = this.#space.refusePut(bytes);
    if (refusal !== null) throw refusal;
    this.#openBytes += bytes;
    this.account();
  }

  /** The part is named by a row or its file is gone. */
  close(bytes: number): void {
    this.#openBytes -= bytes;
    this.account();
  }

  /** No row names these bytes any more, but their file is there. */
  doom(bytes: number): void {
    this.#doomedBytes += bytes;
    this.account();
  }

  unlinked(bytes: number): void {
    this.#doomedBytes -= bytes;
    this.account();
  }

  /** Tells the store how much is held now. */
  account(): void {
    const next = this.#space.reserve(this.heldBytes);
    this.#reservation?.giveBack();
    this.#reservation = next;
  }
}
