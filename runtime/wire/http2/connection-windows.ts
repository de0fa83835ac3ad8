import { MiB } from "../../base/units.ts";
import { connectionWindowBytes, smallConnectionWindowBytes } from "./limits.ts";

/**
 * Of the memory for messages, this is for those of which a part has come, which windows do not hold back: 512 streams
 * that send pieces of 64 KiB. A node with little memory leaves half of it.
 */
const begunBytesMax = 32 * MiB;
const begunShareMax = 1 / 2;
/** No connection has more than this of the windows, or the first one would leave all others small ones. */
const oneShareMax = 1 / 2;

/** Windows of the connections of a port: large ones for as many as memory allows, small ones for the others. */
export class ConnectionWindows {
  readonly #messageBytesMax: number;
  readonly #bytesMax: number;
  readonly #largeBytes: number;
  #heldBytes = 0;

  /** `messageBytesMax`: what messages on their way may take in all. */
  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
    const begunBytes = Math.min(begunBytesMax, Math.floor(messageBytesMax * begunShareMax));
    this.#bytesMax = messageBytesMax - begunBytes;
    const oneBytesMax = Math.floor(this.#bytesMax * oneShareMax);
    this.#largeBytes = Math.min(connectionWindowBytes, oneBytesMax);
  }

  take(): number {
    const hasRoom = this.#heldBytes + this.#largeBytes <= this.#bytesMax;
    const bytes = hasRoom
      ? Math.max(smallConnectionWindowBytes, this.#largeBytes)
      : smallConnectionWindowBytes;
    this.#heldBytes += bytes;
    return bytes;
  }

  /** As much more for a while, beside the windows, out of all the memory; false when there is none. */
  tryLend(bytes: number): boolean {
    if (this.#heldBytes + bytes > this.#messageBytesMax) return false;
    this.#heldBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#heldBytes -= bytes;
  }
}
