/** Who holds bytes of messages that have not come whole, or that their method is not done with. */
export interface Gatherer {
  /** What is counted for it; only `Gathering` changes it. */
  gatheredBytes: number;
  /** A message has begun and is not whole. Whole ones wait for us, and are not given up. */
  readonly isGathering: boolean;
  /** There are too many such bytes, and of all whose message is not whole it has waited longest. It gives up its own. */
  dropped(): void;
}

/**
 * Counts the bytes of messages on their way over all calls of a port. The protocol lets each client have as many
 * streams with a whole message begun on each as it likes, and a window that we keep shut on one message until another
 * ends would stop both: so when there are too many, whoever has a message begun and has brought nothing of it for the
 * longest time goes.
 */
export class Gathering {
  readonly #bytesMax: number;
  /** Who came first has waited longest. */
  readonly #gatherers = new Set<Gatherer>();
  bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Some of its bytes have come or gone: it holds as many now. */
  set(gatherer: Gatherer, bytes: number): void {
    const grownBytes = bytes - gatherer.gatheredBytes;
    this.bytes += grownBytes;
    gatherer.gatheredBytes = bytes;
    this.#gatherers.delete(gatherer);
    if (bytes === 0) return;
    this.#gatherers.add(gatherer);
    if (grownBytes <= 0 || this.bytes <= this.#bytesMax) return;
    for (const oldest of this.#gatherers) {
      if (!oldest.isGathering) continue;
      this.set(oldest, 0);
      oldest.dropped();
      if (this.bytes <= this.#bytesMax) return;
    }
  }
}
