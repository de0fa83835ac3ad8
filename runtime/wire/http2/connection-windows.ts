import { connectionWindowBytes, smallConnectionWindowBytes } from "./limits.ts";

/** Windows of the connections of a port: large ones for as many as memory allows, small ones for the others. */
export class ConnectionWindows {
  readonly #bytesMax: number;
  #heldBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  take(): number {
    const hasRoom = this.#heldBytes + connectionWindowBytes <= this.#bytesMax;
    const bytes = hasRoom ? connectionWindowBytes : smallConnectionWindowBytes;
    this.#heldBytes += bytes;
    return bytes;
  }

  /** As much more for a while, beside the windows; false when memory does not allow it. */
  tryLend(bytes: number): boolean {
    if (this.#heldBytes + bytes > this.#bytesMax) return false;
    this.#heldBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#heldBytes -= bytes;
  }
}
