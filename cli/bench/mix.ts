import { type Random, seededRandom } from "../../runtime/base/random.ts";

/** What is done to an artifact. `miss` reads a key that was never written; `fill` writes the keys that are read. */
export const operations = ["get", "put", "head", "miss", "fill"] as const;
export type Operation = (typeof operations)[number];
export type MeasuredOperation = Exclude<Operation, "fill">;

/** Shares of the operations; any positive numbers. */
export type Mix = Readonly<Partial<Record<MeasuredOperation, number>>>;
export type KeyOrder = "uniform" | "zipf";

const weightMax = 1_000_000;

/** Reads `get=90,put=10`; a name alone has the weight 1. Null when it is something else. */
export function parseMix(text: string): Mix | null {
  const mix: Partial<Record<MeasuredOperation, number>> = {};
  for (const part of text.split(",")) {
    const match = /^(get|put|head|miss)(?:=(\d{1,7}))?$/.exec(part.trim());
    if (match === null) return null;
    const name = match[1] as MeasuredOperation;
    const weight = Number(match[2] ?? 1);
    if (weight > weightMax || name in mix) return null;
    if (weight > 0) mix[name] = weight;
  }
  return Object.keys(mix).length === 0 ? null : mix;
}

/** The form that `parseMix` reads, operations in their usual order. */
export function showMix(mix: Mix): string {
  const names = operationsOf(mix);
  if (names.length === 1) return names.join();
  return names.map((name) => `${name}=${mix[name]}`).join(",");
}

export function operationsOf(mix: Mix): MeasuredOperation[] {
  return operations.filter((name): name is MeasuredOperation => name !== "fill" && name in mix);
}

/** Says what comes next, without an allocation: `advance` changes the two fields. */
export interface RequestOrder<Name extends string> {
  readonly operation: Name;
  /** Number of the artifact, from 0. */
  readonly index: number;
  advance(): void;
}

/** Numbers of keys that are written once each, in whatever cell. */
export type WriteCounter = { next: number };

/** Operations by their shares, keys by their order, all from the seed; every put writes a key of its own. */
export class MixedOrder implements RequestOrder<Operation> {
  operation: Operation = "get";
  index = 0;
  readonly #random: Random;
  readonly #pickKey: () => number;
  readonly #writes: WriteCounter;
  readonly #names: MeasuredOperation[];
  /** Upper ends of the shares, rising. */
  readonly #bounds: number[] = [];
  readonly #total: number;

  constructor(options: {
    mix: Mix;
    keys: number;
    keyOrder: KeyOrder;
    seed: number;
    writes: WriteCounter;
  }) {
    const { mix, keys } = options;
    this.#random = seededRandom(options.seed);
    this.#writes = options.writes;
    this.#names = operationsOf(mix);
    let total = 0;
    for (const name of this.#names) {
      total += mix[name] ?? 0;
      this.#bounds.push(total);
    }
    this.#total = total;
    const random = this.#random;
    this.#pickKey =
      options.keyOrder === "uniform" ? () => random.below(keys) : zipfKeys(keys, random);
  }

  advance(): void {
    const drawn = this.#random.below(this.#total);
    let place = 0;
    while (this.#bounds[place]! <= drawn) place += 1;
    this.operation = this.#names[place]!;
    this.index = this.operation === "put" ? this.#writes.next++ : this.#pickKey();
  }
}

/** Each of the keys once, in order. */
export class EachKeyOnce<Name extends string> implements RequestOrder<Name> {
  readonly operation: Name;
  index = -1;

  constructor(operation: Name) {
    this.operation = operation;
  }

  advance(): void {
    this.index += 1;
  }
}

/** Exponent of the load that caches are compared with. @source YCSB, "Zipfian" request distribution. */
const zipfExponent = 0.99;

/**
 * Few keys often, many keys seldom. Which keys are the popular ones is drawn too: else they would be those written
 * first and lie side by side on the disk.
 */
function zipfKeys(keys: number, random: Random): () => number {
  const shares = new Float64Array(keys);
  let total = 0;
  for (let rank = 0; rank < keys; rank++) {
    total += 1 / (rank + 1) ** zipfExponent;
    shares[rank] = total;
  }
  const keyOfRank = shuffled(keys, random);
  return () => {
    const wanted = (random.below(0x4000_0000) / 0x4000_0000) * total;
    let low = 0;
    let high = keys - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (shares[middle]! > wanted) high = middle;
      else low = middle + 1;
    }
    return keyOfRank[low]!;
  };
}

function shuffled(count: number, random: Random): Uint32Array {
  const places = Uint32Array.from({ length: count }, (_, place) => place);
  for (let i = count - 1; i > 0; i--) {
    const other = random.below(i + 1);
    const kept = places[i]!;
    places[i] = places[other]!;
    places[other] = kept;
  }
  return places;
}
