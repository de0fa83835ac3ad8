/** Who holds bytes of messages that have not come whole, or that nobody has taken yet. */
export interface Gatherer {
  /** What is counted for it; only `Gathering` changes it. */
  gatheredBytes: number;
  /** There are too many such bytes, and of all who hold some it has waited longest for more. It gives up its own. */
  dropped(): void;
}

/**
 * Counts the bytes of messages on their way over all calls of a port. The protocol lets each client have as many
 * streams with a whole message begun on each as it likes, and a window that we keep shut on one message until another
 * ends would stop both: so when there are too many, whoever has brought nothing for the longest time goes.
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
    while (grownBytes > 0 && this.bytes > this.#bytesMax) {
      const [oldest = gatherer] = this.#gatherers;
      this.set(oldest, 0);
      oldest.dropped();
    }
  }
}
