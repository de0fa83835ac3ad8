import type { Clock } from "./clock.ts";
import type { Fault } from "./fault.ts";
import { budgetWaitersMax } from "./limits.ts";
import { type Share, SharePool, type WaitOptions } from "./shares.ts";

export type { WaitOptions } from "./shares.ts";

/** A part of a ledger: see `ledger.ts`. */
export type BudgetShare = {
  readonly pool: SharePool;
  /** Bytes that it has whatever others hold. */
  readonly minBytes: number;
  /** What it counts: "memory for uploads". */
  readonly what: string;
};

/**
 * A counter of bytes that may be held at one time, alone or as a part of a ledger. Whoever takes gives back exactly as
 * much. Waiting is first come, first served: nobody overtakes the first waiter, however little he wants.
 */
export class ByteBudget {
  /** The most that it may hold; in a ledger others may hold some of it. */
  readonly limitBytes: number;
  readonly #share: Share;

  constructor(
    limitBytes: number,
    clock: Clock,
    waitersMax = budgetWaitersMax,
    { pool, minBytes, what }: BudgetShare = alone(limitBytes, clock),
  ) {
    this.#share = pool.open({
      min: minBytes,
      max: limitBytes,
      waitersMax,
      describe: (bytes) => `${bytes} bytes of ${what}`,
    });
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#share.used;
  }

  /** Those who wait now. */
  get waiting(): number {
    return this.#share.waiting;
  }

  /** True when the bytes are taken; false at once when there is no room or somebody waits already. */
  tryTake(bytes: number): boolean {
    return this.#share.tryTake(bytes);
  }

  /** Takes the bytes, waiting for them if need be. @throws as `Share.take`. */
  take(bytes: number, wait: WaitOptions): Promise<void> {
    return this.#share.take(bytes, wait);
  }

  /** Counts what is held already, whether or not there is room. */
  adopt(bytes: number): void {
    this.#share.adopt(bytes);
  }

  /** What whoever is refused is told. */
  overloaded(bytes: number): Fault {
    return this.#share.overloaded(bytes);
  }

  give(bytes: number): void {
    this.#share.give(bytes);
  }
}

function alone(limitBytes: number, clock: Clock): BudgetShare {
  const pool = new SharePool(limitBytes, clock);
  return { pool, minBytes: limitBytes, what: "upload memory" };
}
