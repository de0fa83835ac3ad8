import { requestIdCharsMax } from "../../base/limits.ts";
import type { Random } from "../../base/random.ts";

/** Letters, digits, dot, dash and underscore: nothing that a log, a header or a shell could read as more than text. */
const wellFormed = /^[A-Za-z0-9._-]+$/;

/** Gives every request a name: the client's own if it is well-formed, else one that no other request has. */
export class RequestIds {
  readonly #prefix: string;
  #count = 0;

  constructor(random: Random) {
    this.#prefix = Buffer.from(random.bytes(6)).toString("hex");
  }

  /** A given id that is empty, longer than 128 characters or has other characters is replaced, not mended. */
  of(given: string | null): string {
    if (given !== null && given.length <= requestIdCharsMax && wellFormed.test(given)) return given;
    this.#count += 1;
    return `${this.#prefix}-${this.#count.toString(36)}`;
  }
}
