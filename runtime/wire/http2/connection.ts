import { unreachable } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import { ConnectionAge } from "./connection-age.ts";
import { ConnectionFailure, type ErrorCode, errorCodes } from "./failure.ts";
import { FloodGuard } from "./flood-guard.ts";
import { FrameCutter } from "./frame-cutter.ts";
import { streamIdMax } from "./frames.ts";
import { type Http2Handler, Inbound } from "./inbound.ts";
import { lingerMsMax, waitingBytesMax } from "./limits.ts";
import { Outbound } from "./outbound.ts";
import { type Http2Socket, Outbox } from "./outbox.ts";
import { PartWatch } from "./part-watch.ts";
import type { SendQueue } from "./stream.ts";

/** What a connection needs of its listener. */
export type Http2Host = {
  readonly handler: Http2Handler;
  readonly clock: Clock;
  /** Where all answers that wait are counted. */
  readonly queue: SendQueue;
  /** Window of the whole connection, as far as memory allows. */
  takeWindow(): number;
  giveWindow(bytes: number): void;
  /** More than its window, for what waits on set-aside streams; false when memory does not allow it. */
  tryLendWindow(bytes: number): boolean;
  /** A connection was cut because of its client, by the kind of what it did. */
  cut(code: ErrorCode): void;
};

/** One client of HTTP/2, from its first byte to its last. @source RFC 9113. */
export class Http2Connection {
  readonly #host: Http2Host;
  readonly #socket: Http2Socket;
  readonly #windowBytes: number;
  readonly #outbox: Outbox;
  readonly #out: Outbound;
  readonly #in: Inbound;
  readonly #cutter: FrameCutter;
  readonly #flood: FloodGuard;
  readonly #age: ConnectionAge;
  readonly #block = new PartWatch();
  readonly #frame = new PartWatch();
  /** When there was a stream the last time, and the last one there was. */
  #usedMs: number;
  #usedId = 0;
  #isEnded = false;
  #endedMs = 0;
  #isCorked = false;
  #isPaused = false;
  #hasFlush = false;

  constructor(socket: Http2Socket, host: Http2Host) {
    this.#host = host;
    this.#socket = socket;
    this.#windowBytes = host.takeWindow();
    this.#outbox = new Outbox(socket);
    this.#out = new Outbound({
      outbox: this.#outbox,
      windowBytes: this.#windowBytes,
      queue: host.queue,
      tryLend: (bytes) => host.tryLendWindow(bytes),
      giveLent: (bytes) => host.giveWindow(bytes),
      onWrite: () => this.#flushSoon(),
    });
    const nowMs = host.clock.monotonicMs();
    this.#flood = new FloodGuard(nowMs);
    this.#age = new ConnectionAge(nowMs);
    this.#usedMs = nowMs;
    const { handler } = host;
    this.#in = new Inbound({ out: this.#out, flood: this.#flood, handler });
    this.#cutter = new FrameCutter(this.#in);
    this.#out.sendFirst();
    this.#outbox.flush();
  }

  get streamCount(): number {
    return this.#out.streams.size;
  }

  /** Some of an answer has not gone out. */
  get isSending(): boolean {
    return this.#outbox.isBlocked || this.#out.isSending;
  }

  /** Nobody would miss it: no call is under way, and every answer has gone. */
  get isIdle(): boolean {
    return this.streamCount === 0 && !this.isSending && this.#in.openBlock === null;
  }

  /** As of the last sweep. */
  get idleSinceMs(): number {
    return this.#usedMs;
  }

  cut(): void {
    this.#socket.terminate();
  }

  received(bytes: Uint8Array): void {
    if (this.#isEnded) return;
    this.#isCorked = true;
    try {
      this.#cutter.push(bytes);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isCorked = false;
    }
    this.#sendAll();
  }

  /** The socket has room again. */
  drained(): void {
    this.#outbox.drained();
    if (this.#isEnded && !this.#outbox.isBlocked) this.#socket.shutdown();
    this.#sendAll();
  }

  /** The connection is gone. */
  closed(): void {
    this.#isEnded = true;
    this.#cutter.stop();
    this.#outbox.abandon();
    this.#host.giveWindow(this.#windowBytes);
    this.#out.end();
  }

  /** Takes no new streams; ends when those in flight have, or now. */
  stop(isAtOnce: boolean): void {
    if (this.#isEnded) return;
    if (isAtOnce) {
      this.#end(errorCodes.noError, "");
      return;
    }
    this.#sayGoodbye(this.#host.clock.monotonicMs());
    this.#sendAll();
  }

  sweep(nowMs: number): void {
    if (this.#isEnded) {
      if (nowMs - this.#endedMs > lingerMsMax) this.#socket.terminate();
      return;
    }
    this.#flood.sweep(nowMs);
    const { lastId } = this.#out.streams;
    if (this.streamCount > 0 || lastId !== this.#usedId)
      [this.#usedMs, this.#usedId] = [nowMs, lastId];
    const isBlockLate = this.#block.isLate(nowMs, this.#in.openBlock);
    if (isBlockLate || this.#frame.isLate(nowMs, this.#cutter.heldFrame)) {
      this.#socket.terminate();
      return;
    }
    this.#out.sweep(nowMs, this.#isPaused);
    const due = this.#age.look(nowMs, {
      hasSettings: this.#in.hasSettings,
      progress: this.#outbox.progress,
      isBlocked: this.#outbox.isBlocked,
    });
    switch (due) {
      case "abort":
        this.#socket.terminate();
        return;
      case "end":
        this.#end(errorCodes.noError, "");
        return;
      case "goodbye":
        this.#sayGoodbye(nowMs);
        break;
      case "lastWord":
        this.#age.hasLastWord = true;
        this.#in.isClosing = true;
        this.#out.sendGoaway(this.#out.streams.lastTakenId, errorCodes.noError, "");
        break;
      case "nothing":
        break;
      default:
        unreachable(due);
    }
    this.#sendAll();
  }

  #sayGoodbye(nowMs: number): void {
    if (!this.#age.sayGoodbye(nowMs)) return;
    this.#out.sendGoaway(streamIdMax, errorCodes.noError, "");
  }

  #failed(error: unknown): void {
    if (!(error instanceof ConnectionFailure)) {
      this.#socket.terminate();
      throw error;
    }
    this.#host.cut(error.code);
    this.#end(error.code, error.message);
  }

  #end(code: ErrorCode, reason: string): void {
    this.#out.sendGoaway(this.#out.streams.lastTakenId, code, reason);
    this.#outbox.flush();
    this.#close();
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  /** Ends our side once everything is out. What still comes is read and dropped. */
  #close(): void {
    this.#isEnded = true;
    this.#endedMs = this.#host.clock.monotonicMs();
    this.#cutter.stop();
    this.#out.end();
    this.#resume();
    if (!this.#outbox.isBlocked) this.#socket.shutdown();
  }

  /** Answers that were ready at the same time go out together. */
  #flushSoon(): void {
    if (this.#isCorked || this.#hasFlush || this.#isEnded) return;
    this.#hasFlush = true;
    queueMicrotask(() => {
      this.#hasFlush = false;
      this.#sendAll();
    });
  }

  #sendAll(): void {
    if (this.#isEnded || this.#isCorked) return;
    this.#out.sender.run();
    this.#outbox.flush();
    if (this.#outbox.addedBytes > waitingBytesMax) this.#pause();
    else if (!this.#outbox.isBlocked) this.#resume();
    if (this.#age.hasLastWord && this.#out.streams.size === 0 && !this.#outbox.isBlocked) {
      this.#close();
    }
  }
}
