import type { Random } from "../../runtime/base/random.ts";

const drawSteps = 2 ** 30;

/** Numbers from 0 to `count` - 1; number `n` comes in proportion to 1 / (n + 1) ** `skew`. */
export class Zipf {
  readonly #upTo: Float64Array;
  readonly #random: Random;

  constructor(random: Random, count: number, skew: number) {
    this.#random = random;
    this.#upTo = new Float64Array(count);
    let sum = 0;
    for (let i = 0; i < count; i++) {
      sum += 1 / (i + 1) ** skew;
      this.#upTo[i] = sum;
    }
  }

  draw(): number {
    const upTo = this.#upTo;
    const wanted = (this.#random.below(drawSteps) / drawSteps) * (upTo.at(-1) ?? 0);
    let [low, high] = [0, upTo.length - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (upTo[middle]! <= wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** All numbers below `count` in an order of chance. */
export function shuffled(random: Random, count: number): number[] {
  const numbers = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const other = random.below(i + 1);
    [numbers[i], numbers[other]] = [numbers[other]!, numbers[i]!];
  }
  return numbers;
}
