import type { Clock, Timer } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { bodyBytesPerSecondMin } from "../../base/limits.ts";
import { KiB } from "../../base/units.ts";
import { errorCodes } from "../http2/failure.ts";
import type { Stream, StreamSink } from "../http2/stream.ts";
import type { Gatherer, Gathering } from "./gathering.ts";
import { giveBackMessage, MessageReader, messagePrefix } from "./message-reader.ts";
import type { Call, GrpcHandler, GrpcMethod, Incoming, Replies } from "./method.ts";
import { type GrpcStatus, grpcCodes } from "./status.ts";
import { parseTimeout } from "./timeout.ts";
import { answerHeaders, trailersOf, trailersOnly } from "./trailers.ts";

/** What a call needs of its port. */
export type CallHost = {
  readonly handler: GrpcHandler;
  readonly clock: Clock;
  readonly receivedMessageBytesMax: number;
  readonly gathering: Gathering;
};

const okStatus: GrpcStatus = { code: grpcCodes.ok, message: "", retryAfterMs: null };
/** A window of 4 MiB holds as many messages of 512 bytes; smaller ones would cost more than what they bring. */
const queuedMessagesMax = 8_192;
/** Less is not counted: a call costs as much without a message. */
const countedBytesMin = 1 * KiB;

type Waiter<T> = { resolve: (value: T) => void; reject: (error: unknown) => void };

/** One call over one stream. */
export class GrpcCall implements StreamSink, Call, Incoming, Replies, Gatherer {
  readonly #stream: Stream;
  readonly #path: string;
  readonly #method: GrpcMethod;
  readonly #host: CallHost;
  readonly #reader: MessageReader;
  #controller: AbortController | null = null;
  #deadline: Timer | null = null;
  #end: ((status: GrpcStatus) => void) | null = null;
  #messages: Uint8Array[] = [];
  #queuedBytes = 0;
  gatheredBytes = 0;
  /** Bytes that came and were not given back to the client's windows. */
  #heldBytes = 0;
  #isRemoteEnded = false;
  #hasAll = false;
  /** Why nothing more will come; null while it may. */
  #gone: Fault | null = null;
  #waiter: Waiter<Uint8Array | null> | null = null;
  #drainWaiter: Waiter<void> | null = null;
  #hasHeaders = false;
  #isOver = false;
  readonly #onMessage = (message: Uint8Array): void => this.#messageCame(message);

  constructor(parts: { stream: Stream; method: GrpcMethod; host: CallHost }) {
    const { stream, method, host } = parts;
    this.#stream = stream;
    this.#path = stream.head.path;
    this.#method = method;
    this.#host = host;
    this.#reader = new MessageReader(host.receivedMessageBytesMax);
    this.#start();
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#gone !== null) this.#controller.abort();
    return this.#controller.signal;
  }

  header(name: string): string | null {
    return headerOf(this.#stream, name);
  }

  nextAtOnce(): Uint8Array | null {
    const message = this.#messages.shift();
    if (message === undefined) return null;
    this.#queuedBytes -= message.length;
    this.#count();
    this.#credit(this.#messages.length === 0 ? this.#heldBytes : message.length);
    return message;
  }

  giveBack(message: Uint8Array): void {
    giveBackMessage(message);
  }

  next(): Promise<Uint8Array | null> {
    const message = this.nextAtOnce();
    if (message !== null) return Promise.resolve(message);
    if (this.#gone !== null) return Promise.reject(this.#gone);
    if (this.#isRemoteEnded) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  send(message: Uint8Array): Promise<void> {
    if (this.#gone !== null) return Promise.reject(this.#gone);
    return new Promise((resolve, reject) => {
      this.#sendMessage(message);
      this.#drainWaiter = { resolve, reject };
    });
  }

  data(bytes: Uint8Array): void {
    this.#heldBytes += bytes.length;
    if (!this.#isOver) {
      try {
        this.#reader.push(bytes, this.#onMessage);
        this.#count();
      } catch (error) {
        this.#refuse(error);
      }
    }
    // While a message waits to be taken nothing more is let in. One that is being put together is, or a message larger
    // than the window would never end; and of a call that has one message nothing comes behind it.
    if (this.#isOver || this.#messages.length === 0 || this.#hasOneMessage) {
      this.#credit(this.#heldBytes);
    }
  }

  /** Too many bytes wait for the ends of messages, and this call's have waited longest. */
  dropped(): void {
    this.#refuse(new Fault("overloaded", "Cannot hold the message until it has come whole"));
  }

  get isGathering(): boolean {
    return this.#reader.heldBytes > 0;
  }

  /** Of a call with one message until it is whole; of a stream of them while its method waits for the next one. */
  get isAwaited(): boolean {
    if (this.#isOver || this.#isRemoteEnded || this.#hasAll) return false;
    if (this.#hasOneMessage) return true;
    return this.#method.shape === "clientStream" && this.#waiter !== null;
  }

  /** What came is over for the client; a method that can go on with it later is told that the client has gone. */
  tooSlow(): void {
    const message = `Cannot go on with the call: it brings less than ${bodyBytesPerSecondMin} bytes a second`;
    this.#refuse(new Fault("timeout", message));
  }

  setAside(isSetAside: boolean): void {
    this.#stream.setAside(isSetAside);
  }

  allHasCome(): void {
    this.#hasAll = true;
  }

  get #hasOneMessage(): boolean {
    const { shape } = this.#method;
    return shape === "unary" || shape === "serverStream";
  }

  #count(): void {
    const heldBytes = this.#reader.heldBytes + this.#queuedBytes;
    const countedBytes = heldBytes < countedBytesMin ? 0 : heldBytes;
    if (countedBytes !== this.gatheredBytes) this.#host.gathering.set(this, countedBytes);
  }

  #credit(bytes: number): void {
    const countedBytes = Math.min(bytes, this.#heldBytes);
    if (countedBytes === 0) return;
    this.#heldBytes -= countedBytes;
    this.#stream.consume(countedBytes);
  }

  ended(): void {
    this.#isRemoteEnded = true;
    if (this.#isOver) return;
    if (this.#reader.isInside) {
      this.#refuse(new Fault("badRequest", "The call ends in the middle of a message"));
      return;
    }
    if (this.#hasOneMessage) {
      this.#runWithRequest();
      return;
    }
    this.#waiter?.resolve(null);
    this.#waiter = null;
  }

  reset(): void {
    if (!this.#isOver) this.#leave(new Fault("clientClosed", "The client ended the call"));
  }

  drained(): void {
    const waiter = this.#drainWaiter;
    this.#drainWaiter = null;
    waiter?.resolve();
  }

  #start(): void {
    const timeout = this.header("grpc-timeout");
    const timeoutMs = timeout === null ? null : parseTimeout(timeout);
    try {
      this.#end = this.#host.handler.begin(this.#path, this);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (timeoutMs !== null) {
      this.#deadline = this.#host.clock.after(timeoutMs, () => this.#timeIsUp());
    }
    if (this.#method.shape === "clientStream") this.#runUnary(this.#method.run(this, this));
    if (this.#method.shape === "bidi") this.#runStream(this.#method.run(this, this, this));
  }

  #runWithRequest(): void {
    const [request] = this.#messages;
    if (request === undefined) {
      this.#fail(new Fault("badRequest", "The call has no message"));
      return;
    }
    // It goes on counting until the call is over: the method may wait long with it.
    this.#messages = [];
    if (this.#method.shape === "serverStream") {
      this.#runStream(this.#method.run(this, request, this));
      return;
    }
    if (this.#method.shape !== "unary") return;
    try {
      const reply = this.#method.run(this, request);
      if (reply instanceof Promise) this.#runUnary(reply);
      else this.#reply(reply);
    } catch (error) {
      this.#fail(error);
    }
  }

  #runUnary(running: Promise<Uint8Array>): void {
    running.then(
      (reply) => this.#reply(reply),
      (error) => this.#fail(error),
    );
  }

  #runStream(running: Promise<void>): void {
    running.then(
      () => this.#finish(okStatus),
      (error) => this.#fail(error),
    );
  }

  #reply(reply: Uint8Array): void {
    if (this.#isOver) return;
    try {
      this.#sendMessage(reply);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#finish(okStatus);
  }

  #sendMessage(message: Uint8Array): void {
    if (!this.#stream.hasRoom(message.length)) {
      throw new Fault(
        "overloaded",
        `Cannot send a message of ${message.length} bytes: too many wait for clients that do not take theirs`,
      );
    }
    if (!this.#hasHeaders) {
      this.#hasHeaders = true;
      this.#stream.respond(answerHeaders, false);
    }
    this.#stream.write(message, messagePrefix(message.length));
  }

  #fail(error: unknown): void {
    if (!this.#isOver) this.#finish(this.#host.handler.statusOf(error, this.#path));
  }

  /** Ends a call whose method may still run: to that it is as if the client had gone. */
  #refuse(error: unknown): void {
    if (this.#isOver) return;
    const gone = new Fault("clientClosed", "The call was refused before it had come whole");
    this.#gone = gone;
    this.#finish(this.#host.handler.statusOf(error, this.#path));
    this.#wakeAll(gone);
  }

  #finish(status: GrpcStatus): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#close(status);
    if (this.#hasHeaders) {
      this.#stream.end(trailersOf(status));
    } else if (status.code === grpcCodes.ok) {
      this.#stream.respond(answerHeaders, false);
      this.#stream.end(trailersOf(status));
    } else {
      this.#stream.respond(trailersOnly(status), true);
    }
  }

  #close(status: GrpcStatus): void {
    this.#deadline?.cancel();
    this.#reader.drop();
    this.#forgetMessages();
    this.#credit(this.#heldBytes);
    const end = this.#end;
    this.#end = null;
    end?.(status);
  }

  /** Nobody waits for the answer any more. */
  #leave(fault: Fault): void {
    this.#gone = fault;
    this.#isOver = true;
    this.#close(this.#host.handler.statusOf(fault, this.#path));
    this.#wakeAll(fault);
  }

  #timeIsUp(): void {
    if (this.#isOver) return;
    const fault = new Fault("timeout", "The client's deadline has passed");
    this.#gone = fault;
    this.#finish(this.#host.handler.statusOf(fault, this.#path));
    // Trailers would wait behind bytes that the client does not take.
    if (this.#stream.hasBytes) this.#stream.reset(errorCodes.cancel);
    this.#wakeAll(fault);
  }

  #forgetMessages(): void {
    this.#messages = [];
    this.#queuedBytes = 0;
    this.#count();
  }

  #wakeAll(fault: Fault): void {
    this.#controller?.abort();
    this.#waiter?.reject(fault);
    this.#drainWaiter?.reject(fault);
    this.#waiter = null;
    this.#drainWaiter = null;
  }

  #messageCame(message: Uint8Array): void {
    const waiter = this.#waiter;
    if (waiter === null) {
      this.#queue(message);
      return;
    }
    this.#waiter = null;
    waiter.resolve(message);
  }

  #queue(message: Uint8Array): void {
    if (this.#hasOneMessage && this.#messages.length > 0) {
      throw new Fault("badRequest", "The call has several messages, not one");
    }
    if (this.#messages.length === queuedMessagesMax) {
      throw new Fault(
        "overloaded",
        `Cannot hold more than ${queuedMessagesMax} messages of a call`,
      );
    }
    this.#messages.push(message);
    this.#queuedBytes += message.length;
  }
}

/** The first value of a header of a request; null without one. */
export function headerOf({ head }: Stream, name: string): string | null {
  for (const [each, value] of head.fields) if (each === name) return value;
  return null;
}
