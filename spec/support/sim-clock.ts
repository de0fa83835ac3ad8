import type { Clock, Timer } from "../../runtime/base/clock.ts";

type Event = { readonly dueMs: number; readonly number: number; run: (() => void) | null };

/** A day in 2026: versions come from the wall clock, and this one starts the same in every run. */
const wallStartMs = 1_790_000_000_000;

/**
 * Time that stands still until it is stepped. Timers and the ends of simulated disk calls come from one queue, in the
 * order of their due time and then of their making, so that a run repeats exactly.
 */
export class SimClock implements Clock {
  #events: Event[] = [];
  #nowMs = 0;
  #wallAheadMs = wallStartMs;
  #made = 0;

  wallMs(): number {
    return this.#wallAheadMs + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Sets the wall clock forward or, with a negative count, back; timers do not notice. */
  jumpWall(byMs: number): void {
    this.#wallAheadMs += byMs;
  }

  after(delayMs: number, run: () => void): Timer {
    this.#made += 1;
    const event: Event = { dueMs: this.#nowMs + Math.max(0, delayMs), number: this.#made, run };
    this.#events.push(event);
    return {
      cancel: () => {
        event.run = null;
      },
    };
  }

  every(periodMs: number, run: () => void): Timer {
    let timer: Timer | null = null;
    const again = (): void => {
      timer = this.after(periodMs, again);
      run();
    };
    timer = this.after(periodMs, again);
    return { cancel: () => timer?.cancel() };
  }

  /** How many timers and ends of calls there were so far. */
  get made(): number {
    return this.#made;
  }

  /** Forgets those that were made since `made` was as given: whoever made them is gone. */
  forgetSince(made: number): void {
    this.#events = this.#events.filter(({ number }) => number <= made);
  }

  /** Runs the earliest event and moves the time to it; false when nothing waits. */
  step(): boolean {
    for (;;) {
      const at = this.#earliest();
      if (at < 0) return false;
      const event = this.#events[at]!;
      this.#events[at] = this.#events[this.#events.length - 1]!;
      this.#events.pop();
      if (event.run === null) continue;
      this.#nowMs = Math.max(this.#nowMs, event.dueMs);
      event.run();
      return true;
    }
  }

  #earliest(): number {
    let best = -1;
    for (let i = 0; i < this.#events.length; i++) {
      const event = this.#events[i]!;
      const first = this.#events[best];
      const isEarlier =
        first === undefined ||
        event.dueMs < first.dueMs ||
        (event.dueMs === first.dueMs && event.number < first.number);
      if (isEarlier) best = i;
    }
    return best;
  }
}

/** Lets every promise that can go on do so. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Steps the clock until the promise settles; null when it did not within `withinMs` of the clock. */
export async function drive<T>(
  clock: SimClock,
  promise: Promise<T>,
  withinMs = 60_000,
): Promise<{ readonly value: T } | null> {
  let outcome: { value: T } | { error: unknown } | null = null;
  promise.then(
    (value) => {
      outcome = { value };
    },
    (error: unknown) => {
      outcome = { error };
    },
  );
  const endMs = clock.monotonicMs() + withinMs;
  await turn();
  while (outcome === null && clock.monotonicMs() <= endMs && clock.step()) await turn();
  const settled = outcome as { value: T } | { error: unknown } | null;
  if (settled === null) return null;
  if ("error" in settled) throw settled.error;
  return settled;
}
