import { headMsMax } from "./limits.ts";

/** Looks after what has to come whole soon after its first byte: a header block, or a frame that is not DATA. */
export class PartWatch {
  #part: number | null = null;
  #sinceMs = 0;

  /** `part` tells one from the next; null while there is none. True when the same one has been on its way for too long. */
  isLate(nowMs: number, part: number | null): boolean {
    if (part !== this.#part) {
      this.#part = part;
      this.#sinceMs = nowMs;
    }
    return part !== null && nowMs - this.#sinceMs > headMsMax;
  }
}
