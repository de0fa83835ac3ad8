import { Fault } from "../../base/fault.ts";
import { KiB, MiB } from "../../base/units.ts";
import { cacheShares, type MemoryTier } from "../../observe/memory-tier.ts";

/** Bytes of one message: far below what any client takes, large enough that messages cost little. */
const pieceBytesMax = 256 * KiB;
/** With many reads at a time, of which each client may stop taking, pieces become as short as this. */
const pieceBytesMin = 8 * KiB;
/** Of all pieces that are longer than that together. */
const longBytesMax = 16 * MiB;
/** A read takes at most this part of what is left of it. */
const shareMax = 1 / 8;
/** Beyond it no read begins, however much memory there is. */
const readsMax = 4_096;
/** Kept for the next read: a fresh one costs its page faults. */
const idleMax = 16;

/** Room in front of a piece for what the message says before its data. */
export const headRoomBytes = 8;

/** Buffers of reads from files. A client that takes nothing holds one of them. */
export class ReadBuffers {
  readonly #idle: Buffer[] = [];
  /** Of pieces that are longer than they need be. */
  readonly #longBytesMax: number;
  readonly #readsMax: number;
  #count = 0;
  #heldBytes = 0;
  #share = 1;

  /** `answerBytes`: all that answers hold; half of it is for pieces as short as can be, and the rest for longer ones. */
  constructor(answerBytes: number) {
    this.#longBytesMax = Math.min(longBytesMax, Math.floor(answerBytes / 2));
    this.#readsMax = Math.min(readsMax, Math.floor(answerBytes / 2 / pieceBytesMin));
  }

  /** Short of memory the pieces become shorter, down to the shortest; reads go on. */
  adaptTo(tier: MemoryTier): void {
    this.#share = cacheShares[tier];
    if (tier === "critical") this.#idle.length = 0;
  }

  get count(): number {
    return this.#count;
  }

  /**
   * A buffer for one read of so many bytes, with `headRoomBytes` in front.
   * @throws Fault "overloaded" when too many read.
   */
  take(wantedBytes: number): Buffer {
    if (this.#count >= this.#readsMax) {
      throw new Fault("overloaded", `Cannot read the blob: ${this.#count} reads are under way`);
    }
    const buffer = this.#bufferFor(wantedBytes);
    this.#count += 1;
    this.#heldBytes += buffer.length;
    return buffer;
  }

  #bufferFor(wantedBytes: number): Buffer {
    const share = Math.floor((this.#longBytesMax * this.#share - this.#heldBytes) * shareMax);
    const pieceBytes = Math.max(pieceBytesMin, Math.min(pieceBytesMax, share));
    if (pieceBytes === pieceBytesMax) {
      return this.#idle.pop() ?? Buffer.allocUnsafeSlow(headRoomBytes + pieceBytesMax);
    }
    return Buffer.allocUnsafeSlow(headRoomBytes + Math.min(pieceBytes, wantedBytes));
  }

  /** The read is over. A buffer that may still be on its way to a client that is gone is used for nothing else. */
  giveBack(buffer: Buffer, isSent: boolean): void {
    this.#count -= 1;
    this.#heldBytes -= buffer.length;
    const isWhole = buffer.length === headRoomBytes + pieceBytesMax;
    if (isSent && isWhole && this.#idle.length < idleMax * this.#share) this.#idle.push(buffer);
  }
}
