import { assert } from "./assert.ts";
import type { Clock, Timer } from "./clock.ts";
import { Fault } from "./fault.ts";
import { budgetWaitersMax } from "./limits.ts";

export type WaitOptions = {
  /** Milliseconds until the wait ends with Fault "overloaded". */
  readonly withinMs: number;
  /** Ends the wait with Fault "clientClosed". */
  readonly signal: AbortSignal;
};

type Waiter = { bytes: number; isDone: boolean; grant: () => void };

/**
 * A counter of bytes that may be held at one time. Whoever takes gives back exactly as much.
 * Waiting is first come, first served: nobody overtakes the first waiter, however little he wants.
 */
export class ByteBudget {
  readonly limitBytes: number;
  readonly #clock: Clock;
  readonly #waitersMax: number;
  #usedBytes = 0;
  #waiting = 0;
  /** May hold waiters that gave up: they are skipped when their turn comes. */
  #queue: Waiter[] = [];

  constructor(limitBytes: number, clock: Clock, waitersMax = budgetWaitersMax) {
    assert(limitBytes > 0, "a budget has room for at least one byte");
    this.limitBytes = limitBytes;
    this.#clock = clock;
    this.#waitersMax = waitersMax;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Those who wait now. */
  get waiting(): number {
    return this.#waiting;
  }

  /** True when the bytes are taken; false at once when there is no room or somebody waits already. */
  tryTake(bytes: number): boolean {
    assertSize(bytes);
    if (this.#waiting > 0 || this.#usedBytes + bytes > this.limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  /**
   * Takes the bytes, waiting for them if need be.
   * @throws Fault "overloaded" when the wait is over, the queue is full or the budget could never hold as much;
   * "clientClosed" when the signal fires. Nothing is taken then.
   */
  take(bytes: number, { withinMs, signal }: WaitOptions): Promise<void> {
    if (this.tryTake(bytes)) return Promise.resolve();
    if (bytes > this.limitBytes || this.#waiting >= this.#waitersMax) {
      return Promise.reject(this.#overloaded(bytes));
    }
    if (signal.aborted) return Promise.reject(gone());
    return new Promise((resolve, reject) => {
      let timer: Timer | null = null;
      const onAbort = (): void => end(gone());
      const end = (fault: Fault | null): void => {
        if (waiter.isDone) return;
        waiter.isDone = true;
        this.#waiting -= 1;
        timer?.cancel();
        signal.removeEventListener("abort", onAbort);
        if (fault === null) {
          resolve();
          return;
        }
        reject(fault);
        // Whoever stood behind may fit now.
        this.#grantWaiters();
      };
      const waiter: Waiter = { bytes, isDone: false, grant: () => end(null) };
      this.#waiting += 1;
      this.#queue.push(waiter);
      timer = this.#clock.after(withinMs, () => end(this.#overloaded(bytes)));
      signal.addEventListener("abort", onAbort);
    });
  }

  give(bytes: number): void {
    assertSize(bytes);
    this.#usedBytes -= bytes;
    assert(this.#usedBytes >= 0, "no more bytes are given back than were taken");
    if (this.#queue.length > 0) this.#grantWaiters();
  }

  #grantWaiters(): void {
    let taken = 0;
    for (const waiter of this.#queue) {
      if (!waiter.isDone) {
        if (this.#usedBytes + waiter.bytes > this.limitBytes) break;
        this.#usedBytes += waiter.bytes;
        waiter.grant();
      }
      taken += 1;
    }
    if (taken > 0) this.#queue = this.#queue.slice(taken);
  }

  #overloaded(bytes: number): Fault {
    return new Fault(
      "overloaded",
      `Cannot take ${bytes} bytes of upload memory: ${this.#usedBytes} of ${this.limitBytes} are in use and ${this.#waiting} requests wait; try again later`,
    );
  }
}

/** One NaN would make every later comparison false. */
function assertSize(bytes: number): void {
  assert(Number.isSafeInteger(bytes) && bytes >= 0, "bytes of a budget are a whole number");
}

function gone(): Fault {
  return new Fault("clientClosed", "The client hung up while its upload waited for memory");
}
