import type { ByteBudget } from "../base/budget.ts";
import { Fault } from "../base/fault.ts";
import { refuseScratch } from "./scratch.ts";
import type { Space } from "./space.ts";

/** Room for a part on its way in. */
export type PartRoom = {
  /** Resolves when it is there. Rejects with Fault "full" when it was not made in time. */
  readonly ready: Promise<void>;
  /** The part is named by a row or its file is gone: called once. */
  close(): void;
};

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
  /** Of the open bytes, those that have no room yet, or got none: nothing of them is on disk. */
  #pendingBytes = 0;
  #doomedBytes = 0;
  readonly #scratch: ByteBudget | null;
  #scratchBytes = 0;

  constructor(parts: {
    readonly space: Space;
    readonly storedBytesMax: number;
    readonly namedBytes: () => number;
    readonly scratch: ByteBudget | null;
  }) {
    this.#space = parts.space;
    this.#storedBytesMax = parts.storedBytesMax;
    this.#namedBytes = parts.namedBytes;
    this.#scratch = parts.scratch;
  }

  get heldBytes(): number {
    return this.#namedBytes() + this.#openBytes + this.#doomedBytes;
  }

  /** @throws Fault "overloaded" at the cap for parts, "full" when there can be no room or the disk has none. */
  open(bytes: number): PartRoom {
    if (this.heldBytes + bytes > this.#storedBytesMax) {
      throw new Fault(
        "overloaded",
        `Cannot take a part of ${bytes} bytes: ${this.heldBytes} of ${this.#storedBytesMax} bytes of parts wait to be completed (KURA_MULTIPART_MAX_STORED_BYTES); try again later`,
      );
    }
    const refusal = this.#space.refusePut(bytes);
    if (refusal !== null) throw refusal;
    const overload = refuseScratch(this.#scratch, bytes);
    if (overload !== null) throw overload;
    this.#scratchBytes += bytes;
    this.#openBytes += bytes;
    this.#pendingBytes += bytes;
    let isPending = true;
    const settle = (): void => {
      if (isPending) this.#pendingBytes -= bytes;
      isPending = false;
      this.account();
    };
    const taking = this.#space.take(bytes);
    // Counted as a part before it is given back, so that nobody gets in between.
    const ready = taking.room.then((reservation) => {
      settle();
      reservation.giveBack();
    });
    // Whoever gave up does not listen.
    ready.catch(() => {});
    return {
      ready,
      close: () => {
        taking.cancel();
        this.#openBytes -= bytes;
        settle();
      },
    };
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

  #accountScratch(): void {
    const grownBytes = this.heldBytes - this.#scratchBytes;
    this.#scratchBytes += grownBytes;
    if (grownBytes > 0) this.#scratch?.adopt(grownBytes);
    else this.#scratch?.give(-grownBytes);
  }

  /** Tells the store how much is held now. */
  account(): void {
    this.#space.setPartBytes(this.heldBytes - this.#pendingBytes);
    this.#accountScratch();
  }
}
