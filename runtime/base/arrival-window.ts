import { bodyBytesPerSecondMin, bodyWindowMs } from "./limits.ts";

/** A look that comes so late says that we were away, not that the client was slow. */
const awayMsMin = bodyWindowMs / 2;

/**
 * Judges whether bytes come fast enough: each window of 10 s must bring 16 KiB a second, and the first one is the grace.
 * A window starts anew whenever the client had to wait for us.
 * @source trust.md test 20: a trickle must not hold a slot.
 */
export class ArrivalWindow {
  #startMs: number;
  #startBytes: number;
  #lookedMs: number;

  /** `bytes`: all that have come so far. */
  constructor(nowMs: number, bytes: number) {
    this.#startMs = nowMs;
    this.#startBytes = bytes;
    this.#lookedMs = nowMs;
  }

  /** To be called about once a second. `isAwaited`: we have waited for the client ever since the last look. */
  isSlow(nowMs: number, bytes: number, isAwaited: boolean): boolean {
    const wasAway = nowMs - this.#lookedMs >= awayMsMin;
    this.#lookedMs = nowMs;
    const ageMs = nowMs - this.#startMs;
    if (isAwaited && !wasAway && ageMs < bodyWindowMs) return false;
    const wantedBytes = (bodyBytesPerSecondMin * ageMs) / 1_000;
    if (isAwaited && !wasAway && this.cameBytes(bytes) < wantedBytes) return true;
    this.restart(nowMs, bytes);
    return false;
  }

  /** Bytes that have come in this window. */
  cameBytes(bytes: number): number {
    return bytes - this.#startBytes;
  }

  restart(nowMs: number, bytes: number): void {
    this.#startMs = nowMs;
    this.#startBytes = bytes;
  }
}
