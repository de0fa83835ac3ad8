/**
 * Stops the process when something that must be true is not.
 * For what may be false (input, disk, network) throw a Fault instead.
 */
export function assert(condition: boolean, claim: string): asserts condition {
  if (!condition) throw new AssertionFailure(claim);
}

/** Marks a switch as complete: the compiler refuses a call that can be reached. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unreachable value ${JSON.stringify(value)}`);
}

/** Never caught by request handling: the process ends and restarts from its files. */
export class AssertionFailure extends Error {
  constructor(claim: string) {
    super(`Assertion failed: ${claim}`);
    this.name = "AssertionFailure";
  }
}
