import { seededRandom } from "../../runtime/base/random.ts";

/** A prime next to 1 MiB: no file system block, buffer or piece of a store divides it, so a shifted body is seen. */
const periodBytes = 1_048_583;
/** Spreads the starts of neighbouring bodies over the whole period. */
const startStep = 600_011;

/**
 * The bodies of all artifacts: an endless repetition of one random block, each body from another place in it. So a
 * body costs no memory, every byte of it can be told in advance, and no two of the first million are equal.
 */
export class Contents {
  /** Twice the period, so that every window of one period lies in one piece. */
  readonly #block: Buffer;

  constructor(seed: number) {
    const once = seededRandom(seed).bytes(periodBytes);
    this.#block = Buffer.concat([once, once]);
  }

  /** `lengthBytes` of body `index` from `fromBytes` on; a view that must not be changed, at most 1 MiB. */
  window(index: number, fromBytes: number, lengthBytes: number): Buffer {
    const start = placeOf(index, fromBytes);
    return this.#block.subarray(start, start + Math.min(lengthBytes, periodBytes));
  }

  /** As `window` of body 0, copied to `into`; returns how many bytes these were. */
  copy(fromBytes: number, into: Buffer, at: number, lengthBytes: number): number {
    const start = placeOf(0, fromBytes);
    return this.#block.copy(into, at, start, start + Math.min(lengthBytes, periodBytes));
  }

  /** Whether `bytes` from `from` to `to` are those of body `index` at `atBytes`. */
  matches(
    body: { index: number; atBytes: number },
    bytes: Buffer,
    from: number,
    to: number,
  ): boolean {
    let atBytes = body.atBytes;
    for (let at = from; at < to; ) {
      const lengthBytes = Math.min(to - at, periodBytes);
      const start = placeOf(body.index, atBytes);
      if (bytes.compare(this.#block, start, start + lengthBytes, at, at + lengthBytes) !== 0) {
        return false;
      }
      at += lengthBytes;
      atBytes += lengthBytes;
    }
    return true;
  }
}

function placeOf(index: number, fromBytes: number): number {
  return (index * startStep + fromBytes) % periodBytes;
}
