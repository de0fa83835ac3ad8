import { ArrivalWindow } from "../../base/arrival-window.ts";
import { Fault } from "../../base/fault.ts";
import type { Answer } from "./answer.ts";
import type { RequestBody } from "./body.ts";
import type { RequestHead } from "./head.ts";
import type { HeaderList } from "./headers.ts";
import type { HttpRequest } from "./request.ts";

/** One request and what became of it. */
export class Call implements HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: HeaderList;
  readonly body: RequestBody;
  readonly keepsAlive: boolean;
  /** HTTP/1.0. */
  readonly isOld: boolean;
  /** The client waits for 100 Continue. */
  waits: boolean;
  /** Its body cannot be followed to its end, so nobody knows where the next request begins. */
  isBroken = false;
  answer: Answer | null = null;
  /** The connection ends after the answer. */
  hangsUp = false;
  /** The answer has gone, or never will. */
  isOver = false;
  #abort: AbortController | null = null;
  #isAborted = false;
  #rest: ArrivalWindow | null = null;

  constructor(head: RequestHead, body: RequestBody) {
    this.method = head.method;
    this.target = head.target;
    this.headers = head.headers;
    this.keepsAlive = head.keepsAlive;
    this.isOld = head.isOld;
    this.waits = head.waits;
    this.body = body;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#isAborted) this.#abort.abort();
    return this.#abort.signal;
  }

  /** HTTP/1.1 goes on unless told; HTTP/1.0 ends unless told, and some of its clients (ab) wait for the end. */
  get connectionLine(): string {
    if (this.hangsUp) return "connection: close\r\n";
    return this.isOld ? "connection: keep-alive\r\n" : "";
  }

  /** The rest of the body will not come any more. */
  breakOff(): void {
    const bytes = this.body.receivedBytes;
    this.isBroken = true;
    this.body.stop(new Fault("clientClosed", `The body ended early, after ${bytes} bytes`));
    this.abort();
  }

  /**
   * Whether the rest of a body that was answered without it comes too slowly: a byte now and then must not hold the
   * connection. To be asked about once a second from the answer on.
   */
  isTrickle(nowMs: number, receivedBytes: number): boolean {
    this.#rest ??= new ArrivalWindow(nowMs, receivedBytes);
    return this.#rest.isSlow(nowMs, receivedBytes, true);
  }

  abort(): void {
    this.#isAborted = true;
    this.#abort?.abort();
  }
}
