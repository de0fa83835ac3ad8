import { unreachable } from "../../runtime/base/assert.ts";
import type { Clock } from "../../runtime/base/clock.ts";
import { Fault } from "../../runtime/base/fault.ts";
import { minute, second } from "../../runtime/base/units.ts";
import type { Lane, LaneOwner, Loss } from "./lane.ts";
import type { RequestOrder } from "./mix.ts";
import type { Tally } from "./tally.ts";

/** When a load has done enough: what is in flight then is still awaited and counted. */
export type LoadEnd =
  | { readonly at: "duration"; readonly ms: number }
  | { readonly at: "requests"; readonly count: number };

/** Which bodies are compared with what was written: each key's first, all, or none. */
export type Verify = "first" | "all" | "none";

export type LoadRun<Operation extends string> = {
  readonly order: RequestOrder<Operation>;
  readonly end: LoadEnd;
  readonly tally: Tally<Operation>;
  readonly verify: Verify;
};

/** No server that works needs this long for an answer; without it one lost answer would hold the whole run. */
const requestMsMax = 1 * minute;
const watchPeriodMs = 1 * second;
/** So many losses without an answer between them are not bad luck: the server is gone. */
const lossesInARowMax = 100;

type Running<Operation extends string> = LoadRun<Operation> & {
  /** Requests that may still be sent. */
  left: number;
  readonly endMs: number;
  readonly startMs: number;
  busy: number;
  lossesInARow: number;
  fault: Fault | null;
  readonly done: () => void;
};

export type LoadOptions<Operation extends string> = {
  readonly clock: Clock;
  /** The server, for messages. */
  readonly url: string;
  /** What it should speak, for messages. */
  readonly protocol: string;
  /** Operations that read bodies, of which some are compared. */
  readonly reads: ReadonlySet<Operation>;
  readonly laneCount: number;
  readonly makeLane: (owner: LaneOwner<Operation>) => Lane<Operation>;
};

/**
 * Many lanes to one server that work off an order of requests, each as fast as its answers come. They stay open from
 * one run to the next, so that a warm-up pays for them.
 */
export class Load<Operation extends string> {
  readonly #lanes: Lane<Operation>[];
  readonly #options: LoadOptions<Operation>;
  /** Keys whose body was compared. */
  readonly #checked = new Set<number>();
  #running: Running<Operation> | null = null;

  constructor(options: LoadOptions<Operation>) {
    this.#options = options;
    const owner: LaneOwner<Operation> = {
      answered: (lane) => this.#answered(lane),
      lost: (lane, loss) => this.#lost(lane, loss),
    };
    this.#lanes = Array.from({ length: options.laneCount }, () => options.makeLane(owner));
  }

  /**
   * Runs to the end that was wished for; resolves with the seconds from the first request to the last answer.
   * @throws Fault "unavailable" when the server is gone, "clientClosed" when `signal` ends it first.
   */
  async run(wish: LoadRun<Operation>, signal: AbortSignal): Promise<number> {
    const { end } = wish;
    const { clock } = this.#options;
    const startMs = clock.monotonicMs();
    const finished = Promise.withResolvers<void>();
    const running: Running<Operation> = {
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
    const watch = clock.every(watchPeriodMs, () => this.#cutLate());
    try {
      if (signal.aborted) throw interrupted();
      for (const lane of this.#lanes) this.#sendNext(running, lane, startMs);
      if (running.busy > 0) await finished.promise;
    } finally {
      watch.cancel();
      signal.removeEventListener("abort", interrupt);
      this.#running = null;
    }
    if (running.fault !== null) throw running.fault;
    return (clock.monotonicMs() - startMs) / second;
  }

  close(): void {
    for (const lane of this.#lanes) lane.cut("closed");
  }

  #sendNext(running: Running<Operation>, lane: Lane<Operation>, nowMs: number): void {
    if (running.left <= 0 || nowMs >= running.endMs || running.fault !== null) return;
    running.left -= 1;
    running.busy += 1;
    const { order } = running;
    order.advance();
    lane.sentMs = nowMs;
    lane.checksBody = this.#isToCheck(running, order);
    lane.send(order.operation, order.index);
  }

  #isToCheck(
    { verify }: Running<Operation>,
    { operation, index }: RequestOrder<Operation>,
  ): boolean {
    if (verify === "none" || !this.#options.reads.has(operation)) return false;
    if (verify === "all") return true;
    if (this.#checked.has(index)) return false;
    this.#checked.add(index);
    return true;
  }

  #answered(lane: Lane<Operation>): void {
    const running = this.#running;
    if (running === null) return;
    const nowMs = this.#options.clock.monotonicMs();
    running.lossesInARow = 0;
    running.tally.answered(lane.operation, lane.outcome, nowMs - lane.sentMs);
    running.busy -= 1;
    this.#sendNext(running, lane, nowMs);
    if (running.busy === 0) running.done();
  }

  #lost(lane: Lane<Operation>, loss: Loss): void {
    const running = this.#running;
    if (running === null) return;
    running.busy -= 1;
    running.tally.lost(lane.operation, loss);
    running.lossesInARow += 1;
    const isHopeless = loss === "refused" && running.lossesInARow > this.#lanes.length;
    if (isHopeless || running.lossesInARow > lossesInARowMax) {
      this.#give(running, gone(this.#options, loss));
      return;
    }
    this.#sendNext(running, lane, this.#options.clock.monotonicMs());
    if (running.busy === 0) running.done();
  }

  /** Ends a run early: nothing more is sent, nothing is waited for. */
  #give(running: Running<Operation>, fault: Fault): void {
    if (running.fault !== null) return;
    running.fault = fault;
    this.#running = null;
    this.close();
    running.done();
  }

  #cutLate(): void {
    const lateMs = this.#options.clock.monotonicMs() - requestMsMax;
    for (const lane of this.#lanes) {
      if (lane.isBusy && lane.sentMs < lateMs) lane.cut("timeout");
    }
  }
}

function interrupted(): Fault {
  return new Fault("clientClosed", "Interrupted before the load had ended");
}

function gone({ url, protocol }: { url: string; protocol: string }, loss: Loss): Fault {
  return new Fault("unavailable", `Cannot load ${url}: ${reasonOf(loss, protocol)}`);
}

function reasonOf(loss: Loss, protocol: string): string {
  switch (loss) {
    case "refused":
      return "nobody listens there";
    case "closed":
      return "it closes every connection without an answer";
    case "reset":
      return "it resets every call";
    case "timeout":
      return `it does not answer within ${requestMsMax / second} s`;
    case "garbled":
      return `its answers are not ${protocol}`;
    default:
      return unreachable(loss);
  }
}
