import type { Clock } from "../../base/clock.ts";
import { type Answer, bodyLength, closeBody, noBody, writeHead } from "./answer.ts";
import { type BodySource, noSource, RequestBody } from "./body.ts";
import type { BodyMemory } from "./body-memory.ts";
import { Call } from "./call.ts";
import { release, takeOut } from "./chunk-memory.ts";
import type { At } from "./connection-state.ts";
import {
  type BadHead,
  bad,
  emptyLineBytes,
  type HeadMemo,
  parseHead,
  type RequestHead,
} from "./head.ts";
import {
  discardedBytesMax,
  headMsMax,
  lingerMsMax,
  lingerSilenceMsMax,
  pipelineBytesMax,
  requestsPerTurnMax,
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
  readonly memory: BodyMemory;
  /** The Date header, a whole line. */
  readonly date: () => string;
  /** True once nobody is to start anything new. */
  readonly isStopping: () => boolean;
  readonly requestStarted: () => void;
  readonly requestEnded: () => void;
};

const continueLines = "HTTP/1.1 100 Continue\r\n\r\n";
const tooSlow = bad(408, "The head of the request came too slowly");
/** One connection: reads requests, one after the other, and sends their answers in this order. */
export class Connection implements BodySource {
  readonly memory: BodyMemory;
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #outgoing: Outgoing;
  #at: At = "idle";
  #sinceMs: number;
  #call: Call | null = null;
  readonly #memo: HeadMemo = { block: "", head: null };
  /** Came after what has been read. */
  #unread: Buffer | null = null;
  #isPaused = false;
  /** The other side will send no more. */
  #isHalfClosed = false;
  /** The loop will call us back to read further requests. */
  #hasTurn = false;
  /** For the sweep: what had moved when it last looked, and when that was. */
  #seenProgress = 0;
  #receivedBytes = 0;
  #movedMs: number;

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.memory = host.memory;
    this.#sinceMs = host.clock.monotonicMs();
    this.#movedMs = this.#sinceMs;
    this.#outgoing = new Outgoing(socket, host.isTls, {
      done: (isDelivered) => this.#sent(isDelivered),
      turn: () => this.drained(),
    });
  }

  /** No request is under way, and nothing of one has come. */
  get isIdle(): boolean {
    return this.#at === "idle";
  }

  get idleSinceMs(): number {
    return this.#sinceMs;
  }

  cut(): void {
    this.#socket.terminate();
  }

  received(bytes: Buffer): void {
    this.#receivedBytes += bytes.length;
    const call = this.#call;
    if (call !== null && !call.body.isReceived && !call.isBroken) {
      this.#feed(call, bytes);
      if (call.isOver) this.#passOver(call);
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
    if (call?.body.isReceived === false) call.breakOff();
    // One who has gone for good looks the same from here; whoever still waits for room need not.
    else call?.abort();
    this.#goOn();
  }

  closed(): void {
    this.#at = "closed";
    this.#unread = null;
    const call = this.#call;
    if (call === null) return;
    if (!call.body.isReceived) call.breakOff();
    call.abort();
    this.#outgoing.abandon();
    // A handler that still works is booked when it has answered.
    if (call.answer !== null) this.#book(call, false);
  }

  /** Ends what has waited too long. */
  sweep(nowMs: number): void {
    // What comes does not excuse a client that takes nothing: it could hold an answer for ever with a byte now and then.
    const isBusy = this.#outgoing.isBusy;
    const progress = isBusy ? this.#outgoing.progress : this.#receivedBytes;
    if (progress !== this.#seenProgress) {
      this.#seenProgress = progress;
      this.#movedMs = nowMs;
    }
    const [ageMs, stillMs] = [nowMs - this.#sinceMs, nowMs - this.#movedMs];
    switch (this.#at) {
      case "idle":
        if (ageMs > this.#host.idleMsMax) this.#end();
        break;
      case "head":
        if (ageMs > headMsMax) this.#refuse(tooSlow);
        break;
      case "call":
        this.#sweepCall(nowMs, stillMs);
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
    if (this.#at === "idle" || this.#at === "head") this.#end();
    else if (isAtOnce) this.#socket.terminate();
  }

  #sweepCall(nowMs: number, stillMs: number): void {
    // A handler at work has its own deadlines; it is not our business how long it takes.
    if (this.#call?.answer == null) return;
    const isTrickle = this.#call.isOver && this.#call.isTrickle(nowMs, this.#receivedBytes);
    const stillMsMax = this.#outgoing.isBusy ? sendStallMsMax : this.#host.idleMsMax;
    if (isTrickle || stillMs > stillMsMax) this.#socket.terminate();
  }

  #feed(call: Call, bytes: Buffer): void {
    const count = call.body.feed(bytes);
    if (count === -1) call.isBroken = true;
    else if (count < bytes.length) this.#keep(bytes.subarray(count));
    else if (call.body.isDropped) release(bytes);
  }

  #keep(bytes: Buffer): void {
    if (this.#at === "linger" || this.#at === "closed" || this.#call?.isBroken === true) {
      release(bytes);
      return;
    }
    this.#unread = this.#unread === null ? bytes : Buffer.concat([this.#unread, bytes]);
  }

  /** Reads requests until one is under way or nothing whole is left. */
  #goOn(): void {
    for (let count = 0; this.#unread !== null && this.#isAwaiting; count += 1) {
      if (count === requestsPerTurnMax) {
        this.#takeTurn();
        break;
      }
      if (!this.#readRequest(this.#unread)) break;
    }
    this.#endIfLast();
    this.balance();
  }

  get #isAwaiting(): boolean {
    return this.#at === "idle" || this.#at === "head";
  }

  /** Goes on after others had their turn. */
  #takeTurn(): void {
    if (this.#hasTurn) return;
    this.#hasTurn = true;
    setImmediate(() => {
      this.#hasTurn = false;
      this.#goOn();
    });
  }

  /** Nothing more will come: what is left is no whole request, or the rest of a body that nobody wanted. */
  #endIfLast(): void {
    if (!this.#isHalfClosed || this.#hasTurn || this.#at === "closed") return;
    if (this.#call === null || this.#call.isOver) this.#end();
  }

  /** Reads from the socket what has a place here, and no more. */
  balance(): void {
    const mayRead = this.#hasRoom();
    if (mayRead !== this.#isPaused || this.#at === "closed") return;
    this.#isPaused = !mayRead;
    if (mayRead) this.#socket.resume();
    else this.#socket.pause();
  }

  #hasRoom(): boolean {
    const call = this.#call;
    if (call !== null && !call.body.isReceived) return call.body.hasRoom;
    return this.#unread === null || this.#unread.length <= pipelineBytesMax;
  }

  #readRequest(bytes: Buffer): boolean {
    const start = emptyLineBytes(bytes);
    // Not the beginning of a request: the connection stays as idle as it was.
    if (start === bytes.length) {
      this.#unread = null;
      return false;
    }
    const parsed = parseHead(start === 0 ? bytes : bytes.subarray(start), this.#memo);
    switch (parsed.at) {
      case "incomplete":
        if (this.#at === "idle") this.#sinceMs = this.#host.clock.monotonicMs();
        this.#at = "head";
        return false;
      case "bad":
        this.#refuse(parsed);
        return false;
      default: {
        const endBytes = start + parsed.endBytes;
        this.#unread = null;
        this.#begin(parsed.head, endBytes < bytes.length ? bytes.subarray(endBytes) : null);
        return true;
      }
    }
  }

  #begin(head: RequestHead, rest: Buffer | null): void {
    const call = new Call(head, new RequestBody(head.bodyBytes, this));
    this.#at = "call";
    this.#call = call;
    this.#host.requestStarted();
    if (rest !== null) this.#feed(call, rest.length < (head.bodyBytes ?? 0) ? takeOut(rest) : rest);
    if (this.#isHalfClosed && !call.body.isReceived) call.breakOff();
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
    if (this.#at === "closed") {
      closeBody(answer);
      this.#book(call, false);
    } else if (answer.body.at === "cut") {
      this.#socket.terminate();
    } else {
      this.#send(call, answer);
    }
  }

  #send(call: Call, answer: Answer): void {
    call.hangsUp = this.#mustHangUp(call, answer);
    const lengthBytes = bodyLength(answer);
    const date = this.#host.date();
    const head = writeHead(answer, { lengthBytes, connection: call.connectionLine, date });
    if (!call.body.isTaken) call.body.discard();
    // Measured from here: the time that the handler took is not the client's doing.
    this.#movedMs = this.#host.clock.monotonicMs();
    const isHead = call.method === "HEAD";
    if (isHead) closeBody(answer);
    this.#outgoing.send(head, isHead ? noBody : answer.body);
  }

  #mustHangUp(call: Call, answer: Answer): boolean {
    if (answer.hangsUp === true || !call.keepsAlive || call.isBroken) return true;
    if (this.#host.isStopping() || (this.#isHalfClosed && this.#unread === null)) return true;
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

  /** The rest of a body that nobody wanted has come, or some of it. */
  #passOver(call: Call): void {
    if (call.body.receivedBytes > discardedBytesMax) call.hangsUp = true;
    this.#settle(call);
  }

  /** The next request may come, or has. */
  #await(): void {
    this.#call = null;
    this.#at = "idle";
    this.#sinceMs = this.#host.clock.monotonicMs();
  }

  /** Tells that the request is over, once. */
  #book(call: Call, isDelivered: boolean): void {
    if (call.isOver) return;
    call.isOver = true;
    call.body.discard();
    this.#host.requestEnded();
    call.answer?.onEnd?.(isDelivered);
  }

  #refuse(reason: BadHead): void {
    this.#unread = null;
    const head = { ...reason, isOld: false, bodyBytes: 0, keepsAlive: false, waits: false };
    const call = new Call(head, new RequestBody(0, noSource));
    this.#at = "call";
    this.#call = call;
    this.#host.requestStarted();
    this.#answer(call, this.#host.handler.refuse(call, reason));
  }

  bodyWanted(): void {
    const call = this.#call;
    if (call?.waits === true && call.answer === null) {
      call.waits = false;
      // What is sent already needs no leave.
      if (call.body.receivedBytes === 0) this.#outgoing.sendInterim(continueLines);
    }
    this.balance();
  }

  /** Closes our side and reads on for a while, so that a client that is still sending can read the answer. */
  #linger(): void {
    this.#letGo();
    this.#socket.shutdown();
  }

  /** Closes both sides. Over TLS the other side has to agree, and when it does not, the sweep cuts it. */
  #end(): void {
    this.#letGo();
    // `end` would let a TLS socket slip: neither a `close` nor a `terminate` comes after it (Bun 1.4.5, kept by a spec).
    if (this.#host.isTls) this.#socket.shutdown();
    else this.#socket.end();
  }

  #letGo(): void {
    this.#at = "linger";
    this.#call = null;
    this.#unread = null;
    this.#sinceMs = this.#host.clock.monotonicMs();
    this.#movedMs = this.#sinceMs;
  }
}
