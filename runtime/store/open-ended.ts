import type { Clock } from "../base/clock.ts";
import type { Fault } from "../base/fault.ts";
import type { Reservation, Take } from "./space.ts";

export type OpenEndedOptions = {
  readonly clock: Clock;
  /** What all of them may hold before they go on one by one. */
  readonly bytesMax: number;
  readonly waitMsMax: number;
  /** `isFirst`: before all others that wait. */
  readonly take: (bytes: number, isFirst: boolean) => Take;
  readonly noRoom: (bytes: number) => Fault;
};

type Waiter = { readonly body: OpenEndedBody; readonly bytes: number; readonly goOn: () => void };

/**
 * Bodies of unknown length. They take room step by step, and what they hold can neither go nor be given to another: many
 * of them could fill the store, each waiting for more. So beyond a share of it one of them, the first that had to wait,
 * goes on to its end, before everybody else who wants room; then it is the next one's turn.
 */
export class OpenEnded {
  readonly #options: OpenEndedOptions;
  readonly #waiters: Waiter[] = [];
  #heldBytes = 0;
  #first: OpenEndedBody | null = null;

  constructor(options: OpenEndedOptions) {
    this.#options = options;
  }

  begin(): OpenEndedBody {
    return new OpenEndedBody(this);
  }

  /** @throws Fault "full" by way of the promise, when its turn or the room did not come in time. */
  take(body: OpenEndedBody, bytes: number): Take {
    if (this.#first === body || (this.#waiters.length === 0 && this.#fits(bytes))) {
      return this.#takeNow(body, bytes);
    }
    return this.#wait(body, bytes);
  }

  end(heldBytes: number, body: OpenEndedBody): void {
    this.#heldBytes -= heldBytes;
    if (this.#first === body) this.#first = null;
    this.#letOn();
  }

  #fits(bytes: number): boolean {
    return this.#heldBytes + bytes <= this.#options.bytesMax;
  }

  #takeNow(body: OpenEndedBody, bytes: number): Take {
    this.#heldBytes += bytes;
    body.heldBytes += bytes;
    return this.#options.take(bytes, this.#first === body);
  }

  #wait(body: OpenEndedBody, bytes: number): Take {
    const { clock, waitMsMax, noRoom } = this.#options;
    const { promise: room, resolve, reject } = Promise.withResolvers<Reservation>();
    let taking: Take | null = null;
    const leave = (): void => {
      const place = this.#waiters.indexOf(waiter);
      if (place < 0) return;
      this.#waiters.splice(place, 1);
      reject(noRoom(bytes));
    };
    const timer = clock.after(waitMsMax, leave);
    const goOn = (): void => {
      timer.cancel();
      taking = this.#takeNow(body, bytes);
      taking.room.then(resolve, reject);
    };
    const waiter: Waiter = { body, bytes, goOn };
    this.#waiters.push(waiter);
    this.#letOn();
    const cancel = (): void => {
      timer.cancel();
      // Whoever gave up does not listen any more.
      room.catch(() => {});
      if (taking === null) leave();
      else taking.cancel();
    };
    return { room, isAwaited: true, cancel };
  }

  #letOn(): void {
    for (;;) {
      const [waiter] = this.#waiters;
      if (waiter === undefined) return;
      if (!this.#fits(waiter.bytes)) {
        if (this.#first !== null) return;
        this.#first = waiter.body;
      }
      this.#waiters.shift();
      waiter.goOn();
    }
  }
}

/** One of them: ended once, when it is a file or is gone. */
export class OpenEndedBody {
  readonly #all: OpenEnded;
  #isEnded = false;
  heldBytes = 0;

  constructor(all: OpenEnded) {
    this.#all = all;
  }

  take(bytes: number): Take {
    return this.#all.take(this, bytes);
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#all.end(this.heldBytes, this);
  }
}
