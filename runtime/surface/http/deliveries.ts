import type { Clock, Timer } from "../../base/clock.ts";
import { deliveryWatchPeriodMs } from "../../base/limits.ts";
import type { Metrics } from "../../observe/metrics.ts";
import type { NodeStatus } from "../../observe/node-status.ts";
import type { Exchange, HttpServer } from "./exchange.ts";

/** A download whose answer was made; what is booked when it has ended. */
type Delivery = {
  readonly request: Request;
  readonly server: HttpServer;
  readonly artifact: number;
  readonly client: number;
  readonly bytes: number;
};

/** Bun sends an answer when the handler has returned, so the first look comes a moment later. */
const firstLookMs = 1;

/**
 * Books downloads at their end: bytes count only when they were delivered in full, and a request stays in flight until
 * then.
 *
 * Bun tells nobody when an answer has been sent. But it forgets a finished request: `requestIP` is null from then on,
 * and `signal` fires when the client went away before (both measured on 1.4.5, kept by a spec). "Delivered" means that
 * the kernel has taken all bytes: a client that vanishes with the last of them in the socket buffers is still booked.
 * One timer looks at all that is open, so a count may be 100 ms late.
 */
export class Deliveries {
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #status: NodeStatus;
  #open: Delivery[] = [];
  #timer: Timer | null = null;

  constructor(deps: { clock: Clock; metrics: Metrics; status: NodeStatus }) {
    this.#clock = deps.clock;
    this.#metrics = deps.metrics;
    this.#status = deps.status;
  }

  /** Downloads that have not ended. */
  get openCount(): number {
    return this.#open.length;
  }

  follow(exchange: Exchange, what: { artifact: number; client: number; bytes: number }): void {
    const { request, server } = exchange;
    // The signal knows of an abort only when it exists before: asking later would say "not aborted".
    request.signal;
    exchange.isFollowed = true;
    this.#open.push({ request, server, ...what });
    this.#timer ??= this.#clock.after(firstLookMs, () => this.#look());
  }

  #look(): void {
    const stillOpen: Delivery[] = [];
    for (const delivery of this.#open) {
      if (delivery.server.requestIP(delivery.request) !== null) stillOpen.push(delivery);
      else this.#book(delivery);
    }
    this.#open = stillOpen;
    const isQuiet = stillOpen.length === 0;
    this.#timer = isQuiet ? null : this.#clock.after(deliveryWatchPeriodMs, () => this.#look());
  }

  #book({ request, artifact, client, bytes }: Delivery): void {
    const isCut = request.signal.aborted;
    this.#metrics.read(artifact, client, isCut ? "client_aborted" : "ok", isCut ? 0 : bytes);
    this.#status.httpEnded();
  }
}
