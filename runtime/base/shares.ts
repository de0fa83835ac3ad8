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

export type ShareRule = {
  /** Nobody else ever holds any of it. */
  readonly min: number;
  /** The most that it holds, what is common among it. */
  readonly max: number;
  readonly waitersMax?: number;
  /** What was wanted and is not there, for whoever is refused: "8 bytes of memory". */
  readonly describe: (amount: number) => string;
};

type Waiter = {
  readonly amount: number;
  readonly arrival: number;
  isDone: boolean;
  readonly grant: () => void;
};

/**
 * An amount of something, bytes or descriptors, that several shares divide among them: each has a minimum of its own,
 * and the rest is common. Common room goes to whoever has waited for it longest, of whichever share, so that no share can
 * keep another from it; its own minimum a share has at once.
 */
export class SharePool {
  readonly total: number;
  readonly clock: Clock;
  readonly #shares: Share[] = [];
  #common: number;
  #commonUsed = 0;
  #arrivals = 0;
  #waiting = 0;

  constructor(total: number, clock: Clock) {
    assert(Number.isSafeInteger(total) && total > 0, "a pool has room for at least one");
    this.total = total;
    this.clock = clock;
    this.#common = total;
  }

  /** One more share. The minimums of all fit into the pool. */
  open(rule: ShareRule): Share {
    this.#common -= rule.min;
    assert(this.#common >= 0, "the minimums of all shares fit into their pool");
    const share = new Share(this, rule);
    this.#shares.push(share);
    return share;
  }

  get used(): number {
    return this.#shares.reduce((sum, { used }) => sum + used, 0);
  }

  get hasWaiters(): boolean {
    return this.#waiting > 0;
  }

  /** Most that a share with this minimum could hold while no other holds any of what is common. */
  reach(min: number): number {
    return min + this.#common;
  }

  hasCommon(amount: number): boolean {
    return this.#commonUsed + amount <= this.#common;
  }

  /** Somebody waits for what is common, and nothing but that. */
  get isCommonAwaited(): boolean {
    return this.#shares.some((share) => {
      const head = share.first;
      return head !== null && share.mayHold(head.amount) && share.growth(head.amount) > 0;
    });
  }

  takeCommon(amount: number): void {
    this.#commonUsed += amount;
  }

  arrive(): number {
    this.#waiting += 1;
    this.#arrivals += 1;
    return this.#arrivals;
  }

  leave(): void {
    this.#waiting -= 1;
  }

  /** Lets in whoever fits now. */
  settle(): void {
    while (this.#waiting > 0) {
      const next = this.#next();
      if (next === null) return;
      next.grantFirst();
    }
  }

  /** Whoever has room in his own minimum, else whoever has waited for common room longest, if there is enough. */
  #next(): Share | null {
    let oldest: Share | null = null;
    let oldestArrival = Number.POSITIVE_INFINITY;
    for (const share of this.#shares) {
      const head = share.first;
      if (head === null || !share.mayHold(head.amount)) continue;
      if (share.growth(head.amount) === 0) return share;
      if (head.arrival > oldestArrival) continue;
      oldest = share;
      oldestArrival = head.arrival;
    }
    const amount = oldest?.first?.amount ?? 0;
    return oldest !== null && this.hasCommon(oldest.growth(amount)) ? oldest : null;
  }
}

/**
 * What one kind of work may hold of a pool at one time. Whoever takes gives back exactly as much. Waiting is first come,
 * first served: nobody overtakes the first waiter of his share, however little he wants.
 */
export class Share {
  readonly limit: number;
  readonly min: number;
  readonly #pool: SharePool;
  readonly #rule: ShareRule;
  #used = 0;
  #waiting = 0;
  /** May hold waiters that gave up: they are passed over when their turn comes. */
  #queue: Waiter[] = [];
  #head = 0;

  constructor(pool: SharePool, rule: ShareRule) {
    assert(rule.min >= 0 && rule.max >= Math.max(1, rule.min), "a share can hold its minimum");
    this.#pool = pool;
    this.#rule = rule;
    this.min = rule.min;
    this.limit = Math.min(rule.max, pool.total);
  }

  get used(): number {
    return this.#used;
  }

  /** Those who wait now. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Who waits longest; null when nobody does. */
  get first(): { readonly amount: number; readonly arrival: number } | null {
    while (this.#head < this.#queue.length) {
      const waiter = this.#queue[this.#head]!;
      if (!waiter.isDone) return waiter;
      this.#head += 1;
    }
    this.#queue.length = 0;
    this.#head = 0;
    return null;
  }

  mayHold(amount: number): boolean {
    return this.#used + amount <= this.limit;
  }

  /** How much of so much more would be common. */
  growth(amount: number): number {
    return this.#beyondMin(this.#used + amount) - this.#beyondMin(this.#used);
  }

  /** True when it is taken; false at once when there is no room or somebody waits already. */
  tryTake(amount: number): boolean {
    assertAmount(amount);
    if (this.#waiting > 0 || !this.mayHold(amount)) return false;
    const growth = this.growth(amount);
    if (growth > 0 && !this.#mayTakeCommon(growth)) return false;
    this.#hold(amount, growth);
    return true;
  }

  /** Takes what is held already, whether or not there is room. */
  adopt(amount: number): void {
    assertAmount(amount);
    this.#hold(amount, this.growth(amount));
  }

  /**
   * Takes, waiting if need be.
   * @throws Fault "overloaded" when the wait is over, the queue is full or the share could never hold as much;
   * "clientClosed" when the signal fires. Nothing is taken then.
   */
  take(amount: number, { withinMs, signal }: WaitOptions): Promise<void> {
    if (this.tryTake(amount)) return Promise.resolve();
    const waitersMax = this.#rule.waitersMax ?? budgetWaitersMax;
    const isHopeless = amount > Math.min(this.limit, this.#pool.reach(this.min));
    if (isHopeless || this.#waiting >= waitersMax) return Promise.reject(this.overloaded(amount));
    if (signal.aborted) return Promise.reject(gone());
    return this.#wait(amount, withinMs, signal);
  }

  give(amount: number): void {
    assertAmount(amount);
    assert(amount <= this.#used, "no more is given back than was taken");
    const common = this.#beyondMin(this.#used);
    this.#used -= amount;
    this.#pool.takeCommon(this.#beyondMin(this.#used) - common);
    if (this.#pool.hasWaiters) this.#pool.settle();
  }

  /** To be called while somebody waits and there is room for him. */
  grantFirst(): void {
    const waiter = this.first === null ? undefined : this.#queue[this.#head];
    assert(waiter !== undefined, "somebody waits");
    this.#hold(waiter.amount, this.growth(waiter.amount));
    waiter.grant();
  }

  overloaded(amount: number): Fault {
    const figures = `${this.#used} of ${this.limit} are in use and ${this.#waiting} requests wait`;
    return new Fault(
      "overloaded",
      `Cannot take ${this.#rule.describe(amount)}: ${figures}; try again later`,
    );
  }

  #wait(amount: number, withinMs: number, signal: AbortSignal): Promise<void> {
    const pool = this.#pool;
    return new Promise((resolve, reject) => {
      let timer: Timer | null = null;
      const onAbort = (): void => end(gone());
      const end = (fault: Fault | null): void => {
        if (waiter.isDone) return;
        waiter.isDone = true;
        this.#waiting -= 1;
        pool.leave();
        timer?.cancel();
        signal.removeEventListener("abort", onAbort);
        if (fault === null) {
          resolve();
          return;
        }
        reject(fault);
        // Whoever stood behind may fit now.
        pool.settle();
      };
      const arrival = pool.arrive();
      const waiter: Waiter = { amount, arrival, isDone: false, grant: () => end(null) };
      this.#waiting += 1;
      this.#push(waiter);
      timer = pool.clock.after(withinMs, () => end(this.overloaded(amount)));
      signal.addEventListener("abort", onAbort);
    });
  }

  #push(waiter: Waiter): void {
    // Those who gave up stay behind the first until then; twice as many as may wait are enough.
    if (this.#queue.length > 2 * (this.#rule.waitersMax ?? budgetWaitersMax)) {
      this.#queue = this.#queue.filter(({ isDone }) => !isDone);
      this.#head = 0;
    }
    this.#queue.push(waiter);
  }

  #mayTakeCommon(growth: number): boolean {
    const pool = this.#pool;
    return pool.hasCommon(growth) && !(pool.hasWaiters && pool.isCommonAwaited);
  }

  #hold(amount: number, growth: number): void {
    this.#used += amount;
    if (growth > 0) this.#pool.takeCommon(growth);
  }

  #beyondMin(amount: number): number {
    return amount > this.min ? amount - this.min : 0;
  }
}

/** One NaN would make every later comparison false. */
function assertAmount(amount: number): void {
  assert(Number.isSafeInteger(amount) && amount >= 0, "what is taken is a whole number");
}

function gone(): Fault {
  return new Fault("clientClosed", "The client hung up while its request waited for its turn");
}
