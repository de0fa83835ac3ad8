import type { Clock } from "../../runtime/base/clock.ts";
import { Fault } from "../../runtime/base/fault.ts";
import { minute, second } from "../../runtime/base/units.ts";
import { type ConnectionOptions, LoadConnection, type Loss } from "./connection.ts";
import type { RequestOrder } from "./mix.ts";
import type { Tally } from "./tally.ts";

/** When a load has done enough: what is in flight then is still awaited and counted. */
export type LoadEnd =
  | { readonly at: "duration"; readonly ms: number }
  | { readonly at: "requests"; readonly count: number };

/** Which bodies are compared with what was written: each key's first, all, or none. */
export type Verify = "first" | "all" | "none";

export type LoadRun = {
  readonly order: RequestOrder;
  readonly end: LoadEnd;
  readonly tally: Tally;
  readonly verify: Verify;
};

/** No server that works needs this long for an answer; without it one lost answer would hold the whole run. */
const requestMsMax = 1 * minute;
const watchPeriodMs = 1 * second;
/** So many losses without an answer between them are not bad luck: the server is gone. */
const lossesInARowMax = 100;

type Running = LoadRun & {
  /** Requests that may still be sent. */
  left: number;
  readonly endMs: number;
  readonly startMs: number;
  busy: number;
  lossesInARow: number;
  fault: Fault | null;
  readonly done: () => void;
};

/**
 * Many connections to one server that work off an order of requests, each as fast as its answers come. They stay open
 * from one run to the next, so that a warm-up pays for them.
 */
export class Load {
  readonly #connections: LoadConnection[];
  readonly #clock: Clock;
  readonly #where: string;
  readonly #bodyBytes: number;
  /** Keys whose body was compared. */
  readonly #checked = new Set<number>();
  #running: Running | null = null;

  constructor(options: ConnectionOptions & { connections: number; clock: Clock }) {
    this.#clock = options.clock;
    this.#where = `http://${options.host}:${options.port}`;
    this.#bodyBytes = options.bodyBytes;
    const owner = {
      answered: (connection: LoadConnection) => this.#answered(connection),
      lost: (connection: LoadConnection, loss: Loss) => this.#lost(connection, loss),
    };
    this.#connections = Array.from(
      { length: options.connections },
      () => new LoadConnection(options, owner),
    );
  }

  /**
   * Runs to the end that was wished for; resolves with the seconds from the first request to the last answer.
   * @throws Fault "unavailable" when the server is gone, "clientClosed" when `signal` ends it first.
   */
  async run(wish: LoadRun, signal: AbortSignal): Promise<number> {
    const { end } = wish;
    const startMs = this.#clock.monotonicMs();
    const finished = Promise.withResolvers<void>();
    const running: Running = {
      ...wish,
      left: end.at === "requests" ? end.count : Number.POSITIVE_INFINITY,
      endMs: startMs + (end.at === "duration" ? end.ms : Number.POSITIVE_INFINITY),
      startMs,
      busy: 0,
      lossesInARow: 0,
      fault: null,
      done: finished.resolve,
    };
    this.#running = running;
    const interrupt = (): void => this.#give(running, interrupted());
    signal.addEventListener("abort", interrupt);
    const watch = this.#clock.every(watchPeriodMs, () => this.#cutLate());
    try {
      if (signal.aborted) throw interrupted();
      for (const connection of this.#connections) this.#sendNext(running, connection, startMs);
      if (running.busy > 0) await finished.promise;
    } finally {
      watch.cancel();
      signal.removeEventListener("abort", interrupt);
      this.#running = null;
    }
    if (running.fault !== null) throw running.fault;
    return (this.#clock.monotonicMs() - startMs) / second;
  }

  close(): void {
    for (const connection of this.#connections) connection.cut("closed");
  }

  #sendNext(running: Running, connection: LoadConnection, nowMs: number): void {
    if (running.left <= 0 || nowMs >= running.endMs || running.fault !== null) return;
    running.left -= 1;
    running.busy += 1;
    const { order } = running;
    order.advance();
    connection.sentMs = nowMs;
    connection.checksBody = this.#isToCheck(running, order);
    connection.send(order.operation, order.index);
  }

  #isToCheck({ verify }: Running, { operation, index }: RequestOrder): boolean {
    if (operation !== "get" || verify === "none") return false;
    if (verify === "all") return true;
    if (this.#checked.has(index)) return false;
    this.#checked.add(index);
    return true;
  }

  #answered(connection: LoadConnection): void {
    const running = this.#running;
    if (running === null) return;
    const nowMs = this.#clock.monotonicMs();
    running.lossesInARow = 0;
    running.tally.answered(connection, {
      latencyMs: nowMs - connection.sentMs,
      bodyBytes: this.#bodyBytes,
    });
    running.busy -= 1;
    this.#sendNext(running, connection, nowMs);
    if (running.busy === 0) running.done();
  }

  #lost(connection: LoadConnection, loss: Loss): void {
    const running = this.#running;
    if (running === null) return;
    running.busy -= 1;
    running.tally.lost(connection.operation, loss);
    running.lossesInARow += 1;
    const isHopeless = loss === "refused" && running.lossesInARow > this.#connections.length;
    if (isHopeless || running.lossesInARow > lossesInARowMax) {
      this.#give(running, gone(this.#where, loss));
      return;
    }
    this.#sendNext(running, connection, this.#clock.monotonicMs());
    if (running.busy === 0) running.done();
  }

  /** Ends a run early: nothing more is sent, nothing is waited for. */
  #give(running: Running, fault: Fault): void {
    if (running.fault !== null) return;
    running.fault = fault;
    this.#running = null;
    this.close();
    running.done();
  }

  #cutLate(): void {
    const lateMs = this.#clock.monotonicMs() - requestMsMax;
    for (const connection of this.#connections) {
      if (connection.isBusy && connection.sentMs < lateMs) connection.cut("timeout");
    }
  }
}

function interrupted(): Fault {
  return new Fault("clientClosed", "Interrupted before the load had ended");
}

const lossReasons: Readonly<Record<Loss, string>> = {
  refused: "nobody listens there",
  closed: "it closes every connection without an answer",
  timeout: `it does not answer within ${requestMsMax / second} s`,
  notHttp: "its answers are not HTTP/1.1",
};

function gone(where: string, loss: Loss): Fault {
  return new Fault("unavailable", `Cannot load ${where}: ${lossReasons[loss]}`);
}
