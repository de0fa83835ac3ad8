/** A timer that can be taken back. Cancelling twice is harmless. */
export type Timer = { cancel(): void };

/**
 * The only source of time. Versions come from `wallMs`, ages and deadlines from `monotonicMs`.
 * Both count milliseconds; `wallMs` may jump in either direction, `monotonicMs` never goes back.
 */
export interface Clock {
  wallMs(): number;
  monotonicMs(): number;
  after(delayMs: number, run: () => void): Timer;
  every(periodMs: number, run: () => void): Timer;
}

/** The clock of the machine. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const handle = setTimeout(run, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every(periodMs, run) {
    const handle = setInterval(run, periodMs);
    handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
};

/** Resolves after `delayMs` of the given clock. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve);
  });
}
