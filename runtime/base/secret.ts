const redacted = "[redacted]";

/**
 * A value that must not be seen. Printing it in any way (text, JSON, inspection) gives a placeholder;
 * only `reveal` gives the value, so that a search for `reveal(` finds every place that handles it.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [Symbol.toPrimitive](): string {
    return redacted;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return redacted;
  }
}
