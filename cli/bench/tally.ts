import type { LoadConnection, Loss } from "./connection.ts";
import { LatencyHistogram } from "./histogram.ts";
import { type Operation, operations } from "./mix.ts";

/** What happened to the requests of one operation. */
export type OperationTally = {
  readonly latencies: LatencyHistogram;
  /** Answers as they should be: 2xx, or 404 for a miss. */
  good: number;
  /** Body bytes of good answers, received or sent. */
  bytes: number;
  /** Everything else by status or by the way it was lost. */
  readonly errors: Map<string, number>;
};

/** Words of the first answer that was not as it should be. */
export type Surprise = {
  readonly operation: Operation;
  readonly status: number;
  readonly text: string;
};

/** Bodies that were compared with what was written, and those that differed from it or had another length. */
export type BodyChecks = { compared: number; different: number };

/** Counts what a load is answered. Only good answers have a latency: an error is often the fastest answer of all. */
export class Tally {
  readonly #byOperation = new Map<Operation, OperationTally>();
  surprise: Surprise | null = null;
  readonly #checks: BodyChecks;

  /** A warm-up shares the checks of the load it is for: it is what reads most keys first. */
  constructor(checks: BodyChecks) {
    this.#checks = checks;
    for (const operation of operations) {
      const latencies = new LatencyHistogram();
      this.#byOperation.set(operation, { latencies, good: 0, bytes: 0, errors: new Map() });
    }
  }

  of(operation: Operation): OperationTally {
    const found = this.#byOperation.get(operation);
    if (found === undefined) throw new Error(`there is no operation ${operation}`);
    return found;
  }

  /** Good answers of all operations. */
  get goodCount(): number {
    return operations.reduce((sum, operation) => sum + this.of(operation).good, 0);
  }

  get errorCount(): number {
    const counts = operations.flatMap((operation) => [...this.of(operation).errors.values()]);
    return counts.reduce((sum, count) => sum + count, 0);
  }

  answered(connection: LoadConnection, answer: { latencyMs: number; bodyBytes: number }): void {
    const { operation, reader } = connection;
    const counted = this.of(operation);
    if (!isGood(operation, reader.status)) {
      addTo(counted.errors, String(reader.status));
      this.surprise ??= { operation, status: reader.status, text: connection.text };
      return;
    }
    counted.good += 1;
    counted.latencies.add(answer.latencyMs);
    if (operation === "put" || operation === "fill") counted.bytes += answer.bodyBytes;
    if (operation !== "get") return;
    counted.bytes += reader.bodyBytes;
    if (connection.checksBody) this.#checks.compared += 1;
    if (connection.isDifferent || reader.bodyBytes !== answer.bodyBytes)
      this.#checks.different += 1;
  }

  lost(operation: Operation, loss: Loss): void {
    addTo(this.of(operation).errors, loss);
  }
}

function isGood(operation: Operation, status: number): boolean {
  if (operation === "miss") return status === 404;
  // A server may say 409 where the key is there already: for a key that is only to be there, that is as good.
  if (operation === "fill" && status === 409) return true;
  return status >= 200 && status <= 299;
}

function addTo(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
