import { Fault } from "../../base/fault.ts";
import { KiB, MiB } from "../../base/units.ts";

/** Bytes of one message: far below what any client takes, large enough that messages cost little. */
const pieceBytesMax = 256 * KiB;
/** With many reads at a time, of which each client may stop taking, pieces become as short as this. */
const pieceBytesMin = 16 * KiB;
/** Of all pieces that are longer than that together. */
const allBytesMax = 16 * MiB;
/** A read takes at most this part of what is left of it. */
const shareMax = 1 / 8;
/** Beyond it no read begins: so many hold 80 MiB at most. */
const readsMax = 4_096;
/** Kept for the next read: a fresh one costs its page faults. */
const idleMax = 16;

/** Room in front of a piece for what the message says before its data. */
export const headRoomBytes = 8;

/** Buffers of reads from files. A client that takes nothing holds one of them. */
export class ReadBuffers {
  readonly #idle: Buffer[] = [];
  #count = 0;
  #heldBytes = 0;

  get count(): number {
    return this.#count;
  }

  /**
   * A buffer for one read of so many bytes, with `headRoomBytes` in front.
   * @throws Fault "overloaded" when too many read.
   */
  take(wantedBytes: number): Buffer {
    if (this.#count >= readsMax) {
      throw new Fault("overloaded", `Cannot read the blob: ${this.#count} reads are under way`);
    }
    const buffer = this.#bufferFor(wantedBytes);
    this.#count += 1;
    this.#heldBytes += buffer.length;
    return buffer;
  }

  #bufferFor(wantedBytes: number): Buffer {
    const share = Math.floor((allBytesMax - this.#heldBytes) * shareMax);
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
    if (isSent && isWhole && this.#idle.length < idleMax) this.#idle.push(buffer);
  }
}
