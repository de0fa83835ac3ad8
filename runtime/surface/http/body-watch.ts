import type { Clock, Timer } from "../../base/clock.ts";
import { bodyBytesPerSecondMin, bodyWatchPeriodMs, bodyWindowMs } from "../../base/limits.ts";

/** A body that is being read. */
export type WatchedBody = {
  /** Bytes that have come so far. */
  bytes: number;
  /** True while we wait for the client; false while the client waits for us. */
  isAwaited: boolean;
  /** The client was too slow: whoever waits for its next bytes is woken and must give up. */
  isSlow: boolean;
};

type Entry = WatchedBody & { wake: () => void; windowBytes: number; windowStartMs: number };

/**
 * Ends bodies that come too slowly: each window of 10 s must bring 16 KiB a second, and the first one is the grace.
 * A window starts anew whenever the client had to wait for us. One timer serves all bodies, and runs only while there
 * are any.
 * @source trust.md test 20: a trickle must not hold a slot.
 */
export class BodyWatch {
  readonly #clock: Clock;
  readonly #entries = new Set<Entry>();
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `wake` is called once, when the body was found to be slow. */
  begin(wake: () => void): WatchedBody {
    const entry: Entry = {
      bytes: 0,
      isAwaited: true,
      isSlow: false,
      wake,
      windowBytes: 0,
      windowStartMs: this.#clock.monotonicMs(),
    };
    this.#entries.add(entry);
    this.#timer ??= this.#clock.every(bodyWatchPeriodMs, () => this.#look());
    return entry;
  }

  end(body: WatchedBody): void {
    this.#entries.delete(body as Entry);
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const entry of this.#entries) this.#judge(entry, nowMs);
    if (this.#entries.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #judge(entry: Entry, nowMs: number): void {
    const ageMs = nowMs - entry.windowStartMs;
    if (entry.isAwaited && ageMs < bodyWindowMs) return;
    const wantedBytes = (bodyBytesPerSecondMin * ageMs) / 1_000;
    if (entry.isAwaited && entry.bytes - entry.windowBytes < wantedBytes) {
      entry.isSlow = true;
      this.#entries.delete(entry);
      entry.wake();
      return;
    }
    entry.windowBytes = entry.bytes;
    entry.windowStartMs = nowMs;
  }
}
