import {
  connectionAgeMsMax,
  connectionGraceMs,
  goodbyeMs,
  prefaceMsMax,
  sendStallMsMax,
} from "./limits.ts";

/** What is due at a look at a connection. */
export type Due = "nothing" | "abort" | "goodbye" | "lastWord" | "end";

/** When a connection is given up, renewed or ended. */
export class ConnectionAge {
  readonly #openedMs: number;
  #progress = 0;
  #progressMs: number;
  /** When we said that there will be an end; null before. */
  #goodbyeMs: number | null = null;
  /** The client was told which stream is its last one. */
  hasLastWord = false;

  constructor(nowMs: number) {
    this.#openedMs = nowMs;
    this.#progressMs = nowMs;
  }

  /** Whether this is the first time that it is said. */
  sayGoodbye(nowMs: number): boolean {
    if (this.#goodbyeMs !== null) return false;
    this.#goodbyeMs = nowMs;
    return true;
  }

  look(
    nowMs: number,
    {
      hasSettings,
      progress,
      isBlocked,
    }: { hasSettings: boolean; progress: number; isBlocked: boolean },
  ): Due {
    if (!hasSettings && nowMs - this.#openedMs > prefaceMsMax) return "abort";
    if (progress !== this.#progress || !isBlocked) {
      this.#progress = progress;
      this.#progressMs = nowMs;
    } else if (nowMs - this.#progressMs > sendStallMsMax) {
      return "abort";
    }
    if (this.#goodbyeMs === null) {
      return nowMs - this.#openedMs > connectionAgeMsMax ? "goodbye" : "nothing";
    }
    const sinceMs = nowMs - this.#goodbyeMs;
    if (sinceMs > connectionGraceMs) return "end";
    return !this.hasLastWord && sinceMs >= goodbyeMs ? "lastWord" : "nothing";
  }
}
