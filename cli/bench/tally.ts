import { LatencyHistogram } from "./histogram.ts";
import type { Loss, Outcome } from "./lane.ts";

/** What happened to the requests of one operation. */
export type OperationTally = {
  readonly latencies: LatencyHistogram;
  /** Answers as they should be. */
  good: number;
  /** Body bytes of good answers, received or sent. */
  bytes: number;
  /** Everything else by status or by the way it was lost. */
  readonly errors: Map<string, number>;
};

/** Words of the first answer that was not as it should be. */
export type Surprise<Operation extends string> = {
  readonly operation: Operation;
  readonly status: number;
  readonly text: string;
};

/** Bodies that were compared with what was written, and those that differed from it or had another length. */
export type BodyChecks = { compared: number; different: number };

/** Counts what a load is answered. Only good answers have a latency: an error is often the fastest answer of all. */
export class Tally<Operation extends string> {
  readonly #byOperation = new Map<Operation, OperationTally>();
  surprise: Surprise<Operation> | null = null;
  readonly #checks: BodyChecks;

  /** A warm-up shares the checks of the load it is for: it is what reads most keys first. */
  constructor(checks: BodyChecks) {
    this.#checks = checks;
  }

  of(operation: Operation): OperationTally {
    const known = this.#byOperation.get(operation);
    if (known !== undefined) return known;
    const latencies = new LatencyHistogram();
    const made = { latencies, good: 0, bytes: 0, errors: new Map<string, number>() };
    this.#byOperation.set(operation, made);
    return made;
  }

  /** Good answers of all operations. */
  get goodCount(): number {
    return this.#all().reduce((sum, { good }) => sum + good, 0);
  }

  get errorCount(): number {
    const counts = this.#all().flatMap(({ errors }) => [...errors.values()]);
    return counts.reduce((sum, count) => sum + count, 0);
  }

  answered(operation: Operation, outcome: Outcome, latencyMs: number): void {
    const counted = this.of(operation);
    if (!outcome.isGood) {
      const { status, statusName, text } = outcome;
      addTo(counted.errors, statusName);
      this.surprise ??= { operation, status, text };
      return;
    }
    counted.good += 1;
    counted.latencies.add(latencyMs);
    counted.bytes += outcome.bodyBytes;
    if (outcome.isCompared) this.#checks.compared += 1;
    if (outcome.isDifferent) this.#checks.different += 1;
  }

  lost(operation: Operation, loss: Loss): void {
    addTo(this.of(operation).errors, loss);
  }

  #all(): OperationTally[] {
    return [...this.#byOperation.values()];
  }
}

function addTo(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
