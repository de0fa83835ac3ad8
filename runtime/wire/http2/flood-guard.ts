import { ConnectionFailure, errorCodes } from "./failure.ts";
import { floodLimits, floodWindowMs } from "./limits.ts";

export type FloodKind = keyof typeof floodLimits;

/** Counts frames that cost us something and bring nothing. */
export class FloodGuard {
  readonly #counts = new Map<FloodKind, number>();
  #sinceMs: number;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** @throws ConnectionFailure "enhanceYourCalm" when there were too many of them lately. */
  count(kind: FloodKind): void {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    if (count <= floodLimits[kind]) return;
    const message = `The client sent ${count} frames of the kind ${kind} in ${floodWindowMs} ms`;
    throw new ConnectionFailure(errorCodes.enhanceYourCalm, message);
  }

  /** Something that we did explains as many of them. */
  forgive(kind: FloodKind, count: number): void {
    const known = this.#counts.get(kind) ?? 0;
    if (known > 0) this.#counts.set(kind, Math.max(0, known - count));
  }

  sweep(nowMs: number): void {
    if (nowMs - this.#sinceMs < floodWindowMs) return;
    this.#sinceMs = nowMs;
    this.#counts.clear();
  }
}
