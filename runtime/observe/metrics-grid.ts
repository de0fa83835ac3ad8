import type { Metric, Registry } from "prom-client";
import { assert } from "../base/assert.ts";

export type Labels = Readonly<Record<string, string>>;

/** The values that one axis of a grid can have, as the labels each stands for. Closed: nothing a client sends adds one. */
export type Axis = readonly Labels[];

export type GridOptions = {
  readonly name: string;
  readonly help: string;
  readonly axes: readonly [Axis, Axis?, Axis?];
};

/** One label with its values, as an axis. */
export function axis(label: string, values: readonly string[]): Axis {
  return values.map((value) => ({ [label]: value }));
}

/**
 * Counters in one plain array. prom-client takes 0.8 us for an increment with labels, this takes 0.02 (measured), so
 * hot paths count here and the exposition reads the array when it is asked for.
 */
export class CounterGrid {
  readonly #counts: Float64Array;
  readonly #secondSize: number;
  readonly #thirdSize: number;

  constructor(registry: Registry, { name, help, axes }: GridOptions) {
    const [first, second = [{}], third = [{}]] = axes;
    this.#secondSize = second.length;
    this.#thirdSize = third.length;
    this.#counts = new Float64Array(first.length * second.length * third.length);
    const collect = (): Value[] => {
      const values: Value[] = [];
      for (let i = 0; i < this.#counts.length; i++) {
        const value = this.#counts[i]!;
        if (value === 0) continue;
        const [a, b, c] = this.#places(i);
        values.push({ value, labels: { ...first[a], ...second[b], ...third[c] } });
      }
      return values;
    };
    register(registry, { name, help, type: "counter", collect });
  }

  add(first: number, second: number, third: number, amount: number): void {
    const place = (first * this.#secondSize + second) * this.#thirdSize + third;
    this.#counts[place] = this.#counts[place]! + amount;
  }

  #places(index: number): [number, number, number] {
    const rest = Math.floor(index / this.#thirdSize);
    return [Math.floor(rest / this.#secondSize), rest % this.#secondSize, index % this.#thirdSize];
  }
}

/** Sixteen buckets, 1 ms and then doubling, as in the reference. @source surfaces.md 10. */
const bucketCount = 16;
const firstBucketMs = 1;

/** Histograms of durations along one axis; buckets in seconds, as Prometheus wants them. */
export class DurationGrid {
  readonly #counts: Float64Array;
  readonly #sumsMs: Float64Array;

  constructor(registry: Registry, options: { name: string; help: string; axis: Axis }) {
    const { name, help, axis: labels } = options;
    // One more for what is slower than the last bound.
    this.#counts = new Float64Array(labels.length * (bucketCount + 1));
    this.#sumsMs = new Float64Array(labels.length);
    const collect = (): Value[] => {
      const values: Value[] = [];
      for (let i = 0; i < labels.length; i++) this.#collectOne(values, name, i, labels[i]!);
      return values;
    };
    register(registry, { name, help, type: "histogram", collect });
  }

  add(place: number, durationMs: number): void {
    let bucket = 0;
    for (let boundMs = firstBucketMs; bucket < bucketCount && durationMs > boundMs; boundMs *= 2) {
      bucket += 1;
    }
    const index = place * (bucketCount + 1) + bucket;
    this.#counts[index] = this.#counts[index]! + 1;
    this.#sumsMs[place] = this.#sumsMs[place]! + durationMs;
  }

  #collectOne(values: Value[], name: string, place: number, labels: Labels): void {
    const start = place * (bucketCount + 1);
    let count = 0;
    const buckets: Value[] = [];
    for (let i = 0; i <= bucketCount; i++) {
      count += this.#counts[start + i]!;
      const bound = i === bucketCount ? "+Inf" : String((firstBucketMs * 2 ** i) / 1_000);
      buckets.push({
        value: count,
        labels: { ...labels, le: bound },
        metricName: `${name}_bucket`,
      });
    }
    if (count === 0) return;
    values.push(...buckets);
    values.push({ value: this.#sumsMs[place]! / 1_000, labels, metricName: `${name}_sum` });
    values.push({ value: count, labels, metricName: `${name}_count` });
  }
}

/** A figure that somebody else keeps: read when the exposition is asked for; null leaves the line out. */
export function readFigure(
  registry: Registry,
  options: { name: string; help: string; type: "gauge" | "counter"; read: () => number | null },
): void {
  const collect = (): Value[] => {
    const value = options.read();
    return value === null ? [] : [{ value, labels: {} }];
  };
  register(registry, { ...options, collect });
}

/** Figures along one label that somebody else keeps; counters unless told. */
export function readFigures<T extends string>(
  registry: Registry,
  options: {
    name: string;
    help: string;
    label: string;
    values: readonly T[];
    type?: "counter" | "gauge";
    read: (value: T) => number;
  },
): void {
  const { label, values, read, type = "counter" } = options;
  const collect = (): Value[] =>
    values.map((value) => ({ value: read(value), labels: { [label]: value } }));
  register(registry, { ...options, type, collect });
}

/** Values of a label, each of which is on or off. */
export type States<T extends string> = {
  readonly label: string;
  readonly values: readonly T[];
  readonly isOn: (value: T) => boolean;
};

/** A gauge with a line for each value: 1 while it is on. */
export function stateFigures<T extends string>(
  registry: Registry,
  { name, help, label, values, isOn }: { name: string; help: string } & States<T>,
): void {
  const collect = (): Value[] =>
    values.map((value) => ({ value: Number(isOn(value)), labels: { [label]: value } }));
  register(registry, { name, help, type: "gauge", collect });
}

/** A gauge of 1 that carries labels. */
export function constantFigure(
  registry: Registry,
  options: { name: string; help: string; labels: Labels },
): void {
  const collect = (): Value[] => [{ value: 1, labels: options.labels }];
  register(registry, { ...options, type: "gauge", collect });
}

type Value = { value: number; labels: Labels; metricName?: string };

type Family = {
  name: string;
  help: string;
  type: "counter" | "gauge" | "histogram";
  collect: () => Value[];
};

/**
 * prom-client asks every metric of a registry for `get()` and prints what it returns; that is all we use of it, so
 * that the arrays above need no copy inside its own classes.
 */
function register(registry: Registry, { name, help, type, collect }: Family): void {
  assert(/^kura_[a-z0-9_]+$/.test(name), `${name} is a metric name of Kura`);
  const metric = {
    name,
    get: () => Promise.resolve({ name, help, type, values: collect(), aggregator: "sum" }),
  };
  registry.registerMetric(metric as unknown as Metric<string>);
}
