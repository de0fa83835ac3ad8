import { type Random, seededRandom } from "../../../runtime/base/random.ts";
import type { RequestOrder, WriteCounter } from "../mix.ts";
import type { GrpcOperation } from "./operations.ts";

/** One of the keys at random, each as likely as the others. */
export class RandomKeys implements RequestOrder<GrpcOperation> {
  readonly operation: GrpcOperation;
  index = 0;
  readonly #random: Random;
  readonly #keys: number;

  constructor(operation: GrpcOperation, keys: number, seed: number) {
    this.operation = operation;
    this.#keys = keys;
    this.#random = seededRandom(seed);
  }

  advance(): void {
    this.index = this.#random.below(this.#keys);
  }
}

/** One key after the other, none of them twice. */
export class FreshKeys implements RequestOrder<GrpcOperation> {
  readonly operation: GrpcOperation;
  index = 0;
  readonly #writes: WriteCounter;

  constructor(operation: GrpcOperation, writes: WriteCounter) {
    this.operation = operation;
    this.#writes = writes;
  }

  advance(): void {
    this.index = this.#writes.next++;
  }
}
