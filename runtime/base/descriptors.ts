import type { Clock } from "./clock.ts";
import { asFault } from "./fault.ts";
import { type Share, SharePool } from "./shares.ts";

export type DescriptorOptions = {
  /** Files that requests may have open at one time, at least 4. */
  readonly count: number;
  /** How long a request waits for one. */
  readonly waitMsMax: number;
  readonly clock: Clock;
};

/** Closes a file that nobody needs just now; false when there is none. */
export type CloseSpare = () => boolean;

/** Whoever reads slowly must not keep others from writing, nor the other way round. */
const ownShare = 1 / 4;

const never = new AbortController().signal;

/**
 * Files that requests may have open. Files that are kept open for the next request count as well, and are closed before
 * anybody waits.
 */
export class Descriptors {
  /** Files whose bytes go out. */
  readonly sending: DescriptorShare;
  /** Files that take what comes in. */
  readonly staging: DescriptorShare;
  readonly count: number;
  readonly #pool: SharePool;
  readonly #spares: CloseSpare[] = [];
  readonly waitMsMax: number;
  /** Requests that waited for a descriptor, and those of them that got none. */
  waits = 0;
  timeouts = 0;

  constructor({ count, waitMsMax, clock }: DescriptorOptions) {
    this.count = count;
    this.waitMsMax = waitMsMax;
    this.#pool = new SharePool(count, clock);
    const min = Math.floor(count * ownShare);
    const describe = (): string =>
      "one more of the files that may be open (KURA_FILE_DESCRIPTOR_POOL_SIZE)";
    const rule = { min, max: count - min, describe };
    this.sending = new DescriptorShare(this, this.#pool.open(rule));
    this.staging = new DescriptorShare(this, this.#pool.open(rule));
  }

  get used(): number {
    return this.#pool.used;
  }

  /** Somebody waits: whoever is done with a file closes it. */
  get isShort(): boolean {
    return this.#pool.hasWaiters;
  }

  /** Called when there is no descriptor left. */
  onShort(closeSpare: CloseSpare): void {
    this.#spares.push(closeSpare);
  }

  closeSpare(): boolean {
    return this.#spares.some((closeSpare) => closeSpare());
  }
}

/** The descriptors of one kind of work. */
export class DescriptorShare {
  readonly #all: Descriptors;
  readonly #share: Share;

  constructor(all: Descriptors, share: Share) {
    this.#all = all;
    this.#share = share;
  }

  /** Takes one, after closing what is open for nobody if need be; false when there is none, or somebody waits. */
  tryTake(): boolean {
    while (!this.#share.tryTake(1)) {
      if (this.#share.waiting > 0 || !this.#all.closeSpare()) return false;
    }
    return true;
  }

  /** @throws Fault "overloaded" when none came in time, "clientClosed" when the signal fires. Nothing is taken then. */
  async take(signal: AbortSignal = never): Promise<void> {
    if (this.tryTake()) return;
    const all = this.#all;
    all.waits += 1;
    try {
      await this.#share.take(1, { withinMs: all.waitMsMax, signal });
    } catch (error) {
      if (asFault(error).code === "overloaded") all.timeouts += 1;
      throw error;
    }
  }

  give(): void {
    this.#share.give(1);
  }
}
