import { second } from "../../runtime/base/units.ts";
import { BodyMemory } from "../../runtime/wire/http1/body-memory.ts";
import { Connection, type HttpHandler } from "../../runtime/wire/http1/connection.ts";
import { countingHandler, engineIdleMs } from "./engine.ts";
import { SteppedClock } from "./server.ts";
import { SmallSocket } from "./small-socket.ts";

/** A connection over a socket in memory, with its accounts. */
export class ConnectionBench {
  readonly socket: SmallSocket;
  readonly clock = new SteppedClock();
  readonly connection: Connection;
  readonly ends: boolean[] = [];
  readonly memory = new BodyMemory(() => this.connection.balance());
  pending = 0;
  isStopping = false;

  constructor(handle: HttpHandler["handle"], socket = new SmallSocket(), isTls = false) {
    this.socket = socket;
    this.connection = new Connection(socket, {
      handler: countingHandler(handle, this.ends),
      clock: this.clock,
      isTls,
      idleMsMax: engineIdleMs,
      memory: this.memory,
      date: () => "date: now\r\n",
      isStopping: () => this.isStopping,
      requestStarted: () => (this.pending += 1),
      requestEnded: () => (this.pending -= 1),
    });
    socket.onClosed = () => this.connection.closed();
  }

  send(data: string | Buffer): void {
    this.connection.received(typeof data === "string" ? Buffer.from(data, "latin1") : data);
  }

  /** Statuses of what was answered since the last look. */
  statuses(): string[] {
    return (
      this.socket
        .taken()
        .toString("latin1")
        .match(/(?<=HTTP\/1\.1 )\d{3}/g) ?? []
    );
  }

  /** Lets time pass as the listener does. */
  pass(ms: number): void {
    for (let leftMs = ms; leftMs > 0; leftMs -= second) {
      this.clock.step(Math.min(leftMs, second));
      this.connection.sweep(this.clock.monotonicMs());
    }
  }
}

/** Lets the loop go round. */
export function turns(count: number): Promise<void> {
  return new Promise((resolve) => {
    const next = (left: number): void => {
      if (left === 0) resolve();
      else setImmediate(() => next(left - 1));
    };
    next(count);
  });
}
