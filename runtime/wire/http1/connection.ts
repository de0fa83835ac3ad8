import type { Clock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { type Answer, bodyLength, closeBody, noBody, writeHead } from "./answer.ts";
import { RequestBody } from "./body.ts";
import { Call } from "./call.ts";
import { type BadHead, bad, parseHead, type RequestHead } from "./head.ts";
import {
  emptyLinesMax,
  headMsMax,
  lingerMsMax,
  lingerSilenceMsMax,
  pipelineBytesMax,
  sendStallMsMax,
} from "./limits.ts";
import { Outgoing } from "./outgoing.ts";
import type { HttpRequest } from "./request.ts";
import type { Socket } from "./socket.ts";

export type HttpHandler = {
  /** Answers a request. Never throws, never rejects. */
  readonly handle: (request: HttpRequest) => Answer | Promise<Answer>;
  /** Words the answer to what cannot be read; method, target and headers are empty where they are not known. */
  readonly refuse: (request: HttpRequest, reason: { status: number; message: string }) => Answer;
};

/** What all connections of a listener share. */
export type ConnectionHost = {
  readonly handler: HttpHandler;
  readonly clock: Clock;
  readonly isTls: boolean;
  /** Silence between requests that ends a connection. */
  readonly idleMsMax: number;
  /** The Date header, a whole line. */
  readonly date: () => string;
  /** True once nobody is to start anything new. */
  readonly isStopping: () => boolean;
  readonly requestStarted: () => void;
  readonly requestEnded: () => void;
};

/**
 * - idle: nothing of a request has come
 * - head: some of it has
 * - call: the handler works, or its answer is on the way, or the rest of the body is passed over
 * - linger: our side is closed, what still comes is dropped
 * - closed
 */
type At = "idle" | "head" | "call" | "linger" | "closed";

const continueLines = "HTTP/1.1 100 Continue\r\n\r\n";
const tooSlow = bad(408, "The head of the request came too slowly");
const noEvents = { wanted: () => {}, crowded: () => {} };
const carriageReturn = 0x0d;
const lineFeed = 0x0a;

/** One connection: reads requests, one after the other, and sends their answers in this order. */
export class Connection {
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #outgoing: Outgoing;
  #at: At = "idle";
  #sinceMs: number;
  #call: Call | null = null;
  /** Came after what has been read. */
  #unread: Buffer | null = null;
  #isPaused = false;
  /** The other side will send no more. */
  #isHalfClosed = false;
  /** For the sweep: what had moved when it last looked, and when that was. */
  #seenProgress = 0;
  #receivedBytes = 0;
  #movedMs: number;

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.#sinceMs = host.clock.monotonicMs();
    this.#movedMs = this.#sinceMs;
    this.#outgoing = new Outgoing(socket, host.isTls, (isDelivered) => this.#sent(isDelivered));
  }

  received(bytes: Buffer): void {
    this.#receivedBytes += bytes.length;
    const call = this.#call;
    if (call !== null && !call.body.isReceived && !call.isBroken) {
      this.#feed(call, bytes);
      if (call.isOver) this.#settle(call);
    } else {
      this.#keep(bytes);
    }
    this.#goOn();
  }

  drained(): void {
    this.#outgoing.drain();
    this.#goOn();
  }

  /** The other side has ended its half: what it asked for is still answered. */
  halfClosed(): void {
    this.#isHalfClosed = true;
    const call = this.#call;
    if (call === null || call.isOver) this.#socket.end();
    else if (!call.body.isReceived) breakOff(call);
    // One who has gone for good looks the same from here; whoever still waits for room need not.
    else call.abort();
  }

  closed(): void {
    this.#at = "closed";
    this.#unread = null;
    const call = this.#call;
    if (call === null) return;
    if (!call.body.isReceived) breakOff(call);
    call.abort();
    this.#outgoing.abandon();
    // A handler that still works is booked when it has answered.
    if (call.answer !== null) this.#book(call, false);
  }

  /** Ends what has waited too long. */
  sweep(nowMs: number): void {
    const progress = this.#outgoing.progress + this.#receivedBytes;
    if (progress !== this.#seenProgress) {
      this.#seenProgress = progress;
      this.#movedMs = nowMs;
    }
    const [ageMs, stillMs] = [nowMs - this.#sinceMs, nowMs - this.#movedMs];
    switch (this.#at) {
      case "idle":
        if (ageMs > this.#host.idleMsMax) this.#socket.end();
        break;
      case "head":
        if (ageMs > headMsMax) this.#refuse(tooSlow);
        break;
      case "call":
        this.#sweepCall(stillMs);
        break;
      case "linger":
        if (ageMs > lingerMsMax || stillMs > lingerSilenceMsMax) this.#socket.terminate();
        break;
      default:
    }
  }

  /**
   * No further request: it ends at once when there is none, else after the answer, or is cut when `isAtOnce`. What has
   * been written reaches the client all the same, unless it is cut.
   */
  stop(isAtOnce: boolean): void {
    if (this.#at !== "call") this.#socket.end();
    else if (isAtOnce) this.#socket.terminate();
  }

  #sweepCall(stillMs: number): void {
    // A handler at work has its own deadlines; it is not our business how long it takes.
    if (this.#call?.answer == null) return;
    const stillMsMax = this.#outgoing.isBusy ? sendStallMsMax : this.#host.idleMsMax;
    if (stillMs > stillMsMax) this.#socket.terminate();
  }

  #feed(call: Call, bytes: Buffer): void {
    const count = call.body.feed(bytes);
    if (count === -1) call.isBroken = true;
    else if (count < bytes.length) this.#keep(bytes.subarray(count));
  }

  #keep(bytes: Buffer): void {
    if (this.#at === "linger" || this.#at === "closed" || this.#call?.isBroken === true) return;
    this.#unread = this.#unread === null ? bytes : Buffer.concat([this.#unread, bytes]);
    if (this.#call !== null && this.#unread.length > pipelineBytesMax) this.#pause();
  }

  /** Reads requests until one is under way or nothing whole is left. */
  #goOn(): void {
    while (this.#unread !== null && (this.#at === "idle" || this.#at === "head")) {
      if (!this.#readRequest(this.#unread)) return;
    }
  }

  #readRequest(bytes: Buffer): boolean {
    const start = emptyLineBytes(bytes);
    const parsed = parseHead(start === 0 ? bytes : bytes.subarray(start));
    switch (parsed.at) {
      case "incomplete":
        if (this.#at === "idle") this.#sinceMs = this.#host.clock.monotonicMs();
        this.#at = "head";
        return false;
      case "bad":
        this.#refuse(parsed);
        return false;
      default: {
        const rest = bytes.subarray(start + parsed.endBytes);
        this.#unread = null;
        this.#begin(parsed.head, rest);
        return true;
      }
    }
  }

  #begin(head: RequestHead, rest: Buffer): void {
    const body = new RequestBody(head.bodyBytes, {
      wanted: () => this.#bodyWanted(),
      crowded: () => this.#pause(),
    });
    const call = new Call(head, body);
    this.#at = "call";
    this.#call = call;
    this.#host.requestStarted();
    if (rest.length > 0) this.#feed(call, rest);
    const answer = this.#host.handler.handle(call);
    if (answer instanceof Promise) answer.then((settled) => this.#answerLate(call, settled));
    else this.#answer(call, answer);
  }

  #answerLate(call: Call, answer: Answer): void {
    this.#answer(call, answer);
    this.#goOn();
  }

  #answer(call: Call, answer: Answer): void {
    call.answer = answer;
    if (this.#at === "closed") this.#book(call, false);
    else if (answer.body.at === "cut") this.#socket.terminate();
    else this.#send(call, answer);
  }

  #send(call: Call, answer: Answer): void {
    call.hangsUp = this.#mustHangUp(call, answer);
    const lengthBytes = bodyLength(answer);
    const date = this.#host.date();
    const head = writeHead(answer, { lengthBytes, hangsUp: call.hangsUp, date });
    if (!call.body.isTaken) call.body.discard();
    // Measured from here: the time that the handler took is not the client's doing.
    this.#movedMs = this.#host.clock.monotonicMs();
    const isHead = call.method === "HEAD";
    if (isHead) closeBody(answer);
    this.#outgoing.send(head, isHead ? noBody : answer.body);
  }

  #mustHangUp(call: Call, answer: Answer): boolean {
    if (answer.hangsUp === true || !call.keepsAlive || call.isBroken) return true;
    if (this.#isHalfClosed || this.#host.isStopping()) return true;
    // A client that was not told to go on may send the body or the next request now: nobody can tell which.
    return call.waits && !call.body.isReceived;
  }

  /** The answer has gone, or never will. */
  #sent(isDelivered: boolean): void {
    const call = this.#call;
    if (call === null) return;
    this.#book(call, isDelivered);
    if (this.#at !== "closed") this.#settle(call);
  }

  /** Goes on to the next request once the body of this one has been passed over. */
  #settle(call: Call): void {
    if (call.hangsUp || call.isBroken) this.#linger();
    else if (call.body.isReceived) this.#await();
  }

  /** The next request may come, or has. */
  #await(): void {
    this.#call = null;
    this.#at = "idle";
    this.#sinceMs = this.#host.clock.monotonicMs();
    if (this.#isPaused) this.#resume();
    if (this.#isHalfClosed && this.#unread === null) this.#socket.end();
  }

  /** Tells that the request is over, once. */
  #book(call: Call, isDelivered: boolean): void {
    if (call.isOver) return;
    call.isOver = true;
    this.#host.requestEnded();
    call.answer?.onEnd?.(isDelivered);
  }

  #refuse(reason: BadHead): void {
    this.#unread = null;
    const head = { ...reason, bodyBytes: 0, keepsAlive: false, waits: false };
    const call = new Call(head, new RequestBody(0, noEvents));
    this.#at = "call";
    this.#call = call;
    this.#host.requestStarted();
    this.#answer(call, this.#host.handler.refuse(call, reason));
  }

  #bodyWanted(): void {
    const call = this.#call;
    if (call?.waits === true && call.answer === null) {
      call.waits = false;
      // What is sent already needs no leave.
      if (call.body.receivedBytes === 0) this.#outgoing.sendInterim(continueLines);
    }
    if (this.#isPaused) this.#resume();
  }

  /** Closes our side and reads on for a while, so that a client that is still sending can read the answer. */
  #linger(): void {
    this.#at = "linger";
    this.#call = null;
    this.#unread = null;
    this.#sinceMs = this.#host.clock.monotonicMs();
    this.#movedMs = this.#sinceMs;
    if (this.#isPaused) this.#resume();
    if (this.#isHalfClosed) this.#socket.end();
    else this.#socket.shutdown();
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  #resume(): void {
    this.#isPaused = false;
    this.#socket.resume();
  }
}

/** The body of this request will not come any more. */
function breakOff(call: Call): void {
  const bytes = call.body.receivedBytes;
  call.body.stop(new Fault("clientClosed", `The body ended early, after ${bytes} bytes`));
  call.abort();
}

/** Length of the empty lines that some clients send after a body. */
function emptyLineBytes(bytes: Buffer): number {
  let count = 0;
  while (count < 2 * emptyLinesMax) {
    if (bytes[count] !== carriageReturn || bytes[count + 1] !== lineFeed) break;
    count += 2;
  }
  return count;
}
