import { wordsOf } from "./manifest-cache.ts";

/** Ids that are remembered: far more than requests are ever between their look-up and their commit. */
const slots = 4_096;
const idWords = 8;

/**
 * Ids that the index was asked for and does not have. A put looks its key up twice, at the door and under the
 * committer; the second statement would cost a tenth of the whole put (measured). Every committed row is dropped
 * here before anybody can see it, so a hit is always true.
 */
export class AbsentMemo {
  readonly #ids = new Uint32Array(slots * idWords);
  readonly #filled = new Uint8Array(slots);

  add(id: Uint8Array): void {
    const slot = slotOf(id);
    this.#ids.set(wordsOf(id), slot * idWords);
    this.#filled[slot] = 1;
  }

  has(id: Uint8Array): boolean {
    const slot = slotOf(id);
    return this.#filled[slot] === 1 && this.#isSame(slot, id);
  }

  drop(id: Uint8Array): void {
    const slot = slotOf(id);
    if (this.#filled[slot] === 1 && this.#isSame(slot, id)) this.#filled[slot] = 0;
  }

  #isSame(slot: number, id: Uint8Array): boolean {
    const words = wordsOf(id);
    const at = slot * idWords;
    for (let i = 0; i < idWords; i++) if (this.#ids[at + i] !== words[i]) return false;
    return true;
  }
}

function slotOf(id: Uint8Array): number {
  return (((id[4] ?? 0) << 8) | (id[5] ?? 0)) % slots;
}
