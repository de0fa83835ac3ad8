import { ArrivalWindow } from "../../base/arrival-window.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { bodyWatchPeriodMs } from "../../base/limits.ts";

/** A body that is being read. */
export type WatchedBody = {
  /** Bytes that have come so far. */
  bytes: number;
  /** True while we wait for the client; false while the client waits for us. */
  isAwaited: boolean;
  /** The client was too slow: whoever waits for its next bytes is woken and must give up. */
  isSlow: boolean;
};

/** Who is told of a slow body. */
export type BodyWatcher = {
  /** Called once, when the body was found to be slow. */
  readonly wake: () => void;
  /** Nothing of it is read now, though somebody waits for it. */
  readonly isHeldUp: () => boolean;
};

type Entry = WatchedBody & BodyWatcher & { readonly window: ArrivalWindow };

/** Ends bodies that come too slowly. One timer serves all of them, and runs only while there are any. */
export class BodyWatch {
  readonly #clock: Clock;
  readonly #entries = new Set<Entry>();
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin({ wake, isHeldUp }: BodyWatcher): WatchedBody {
    const entry: Entry = {
      bytes: 0,
      isAwaited: true,
      isSlow: false,
      wake,
      isHeldUp,
      window: new ArrivalWindow(this.#clock.monotonicMs(), 0),
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
    for (const entry of this.#entries) {
      const isAwaited = entry.isAwaited && !entry.isHeldUp();
      if (!entry.window.isSlow(nowMs, entry.bytes, isAwaited)) continue;
      entry.isSlow = true;
      this.#entries.delete(entry);
      entry.wake();
    }
    if (this.#entries.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }
}
