/** Something that nobody holds: it is gone after the next collection. */
function makeMarker(): object {
  return {};
}

/** Tells whether the JavaScript runtime collects garbage by itself. */
export class RuntimeCollections {
  #number = 0;
  #hasCollected = false;
  readonly #registry = new FinalizationRegistry<number>((number) => {
    if (number === this.#number) this.#hasCollected = true;
  });

  constructor() {
    this.#mark();
  }

  /** Whether it has since the last call, or since `forget`. */
  take(): boolean {
    const hasCollected = this.#hasCollected;
    this.#hasCollected = false;
    this.#mark();
    return hasCollected;
  }

  /** A collection was asked for: it does not count. */
  forget(): void {
    this.#number += 1;
    this.#hasCollected = false;
    this.#mark();
  }

  #mark(): void {
    this.#registry.register(makeMarker(), this.#number);
  }
}
