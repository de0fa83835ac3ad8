import { MiB } from "../base/units.ts";

/** What one step reads again, and the record with which it ends. */
const roomBytes = 2 * MiB;

/**
 * Memory for the records that a step of maintenance writes again, the same for every step: new memory for each would
 * call for the collector in the middle of one. Made when it is needed first.
 */
export class CopyRoom {
  #bytes: Uint8Array | null = null;
  #takenBytes = 0;

  /** What was taken before is of no use to anyone any more. */
  clear(): void {
    this.#takenBytes = 0;
  }

  /** Memory of any content, of its own when there is too little left. */
  take(lengthBytes: number): Uint8Array {
    const endBytes = this.#takenBytes + lengthBytes;
    if (endBytes > roomBytes) return new Uint8Array(lengthBytes);
    this.#bytes ??= new Uint8Array(roomBytes);
    const taken = this.#bytes.subarray(this.#takenBytes, endBytes);
    this.#takenBytes = endBytes;
    return taken;
  }
}
