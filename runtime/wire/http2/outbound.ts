import { ConnectionFailure, type ErrorCode, errorCodes } from "./failure.ts";
import { firstWindowBytes, frameBytesMax, frameFlags, frameTypes, settingIds } from "./frames.ts";
import { headerListBytesMax, streamsMax, streamWindowBytes } from "./limits.ts";
import type { Outbox } from "./outbox.ts";
import { PeerSettings } from "./peer-settings.ts";
import { RequestWatch } from "./request-watch.ts";
import { Sender } from "./sender.ts";
import type { SendQueue, Stream, StreamHost } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

const kindOf = (type: number, flags: number): number => type * 256 + flags;
/**
 * What is consumed is given back by parts of a window: what is less than one stays away until more comes, so halves
 * would leave a client with little more than half of its window (measured, 2026-11-22: 2 MiB of 4 in each round trip).
 */
const creditParts = 16;
/** A reason is for whoever reads a trace. */
const reasonBytesMax = 128;

/** What a connection sends: answers of its streams, windows, and what the protocol wants to be answered. */
export class Outbound implements StreamHost {
  readonly streams = new StreamTable();
  readonly peer = new PeerSettings();
  readonly sender: Sender;
  readonly queue: SendQueue;
  readonly #outbox: Outbox;
  readonly streamWindowBytes: number;
  readonly #windowBytes: number;
  /** Told of everything that waits in the outbox and was not asked for by a frame. */
  readonly #onWrite: () => void;
  /** More than the window of the connection: see `Stream.setAside`. */
  readonly #tryLend: (bytes: number) => boolean;
  readonly #giveLent: (bytes: number) => void;
  #lentBytes = 0;
  #receiveWindowBytes: number;
  #creditBytes = 0;
  #framesAtSweep = 0;
  #receivedBytes = 0;
  readonly #requests = new RequestWatch();
  #isEnded = false;

  constructor(parts: {
    outbox: Outbox;
    windowBytes: number;
    queue: SendQueue;
    onWrite: () => void;
    tryLend: (bytes: number) => boolean;
    giveLent: (bytes: number) => void;
  }) {
    this.#outbox = parts.outbox;
    this.#windowBytes = parts.windowBytes;
    // Three streams from which nobody takes leave room for the others.
    this.streamWindowBytes = Math.min(streamWindowBytes, Math.floor(parts.windowBytes / 4));
    this.#receiveWindowBytes = parts.windowBytes;
    this.queue = parts.queue;
    this.#onWrite = parts.onWrite;
    this.#tryLend = parts.tryLend;
    this.#giveLent = parts.giveLent;
    this.sender = new Sender(this.#outbox, this.peer, (stream) => this.settle(stream));
  }

  /** Bytes that wait in the outbox for the end of the turn, or for the client. */
  get ownBytes(): number {
    return this.#outbox.ownBytes;
  }

  /** Nothing goes out any more. */
  end(): void {
    this.#isEnded = true;
    // Told more than once: by us, and by the socket.
    this.#giveLent(this.#lentBytes);
    this.#lentBytes = 0;
    this.streams.abandon();
  }

  get isSending(): boolean {
    for (const stream of this.streams.all()) if (stream.hasBytes) return true;
    return false;
  }

  /** Gives up streams whose bytes the client does not let go out, and those whose requests come too slowly. */
  sweep(nowMs: number, isPaused: boolean): void {
    // Streams that only wait for their turn are not stalled.
    const isStuck = this.sender.frames === this.#framesAtSweep;
    this.#framesAtSweep = this.sender.frames;
    for (const stream of this.streams.all()) {
      if (stream.isStalled(nowMs, isStuck)) this.resetStream(stream.id, errorCodes.cancel);
    }
    const arrivals = {
      receivedBytes: this.#receivedBytes,
      windowBytes: this.#receiveWindowBytes,
      isPaused,
    };
    for (const stream of this.#requests.slow(nowMs, this.streams.all(), arrivals)) {
      stream.sink?.tooSlow();
    }
  }

  sendFirst(): void {
    const settings = [
      [settingIds.maxConcurrentStreams, streamsMax],
      [settingIds.initialWindowSize, this.streamWindowBytes],
      [settingIds.maxFrameSize, frameBytesMax],
      [settingIds.maxHeaderListSize, headerListBytesMax],
    ] as const;
    this.#outbox.frame(kindOf(frameTypes.settings, 0), 0, settings.length * 6);
    for (const [id, value] of settings) {
      this.#outbox.uint16(id);
      this.#outbox.uint32(value);
    }
    this.#outbox.frame(kindOf(frameTypes.windowUpdate, 0), 0, 4);
    this.#outbox.uint32(this.#windowBytes - firstWindowBytes);
  }

  answerPing(payload: Uint8Array): void {
    this.#outbox.frame(kindOf(frameTypes.ping, frameFlags.ack), 0, payload.length);
    this.#outbox.bytes(payload);
  }

  answerSettings(): void {
    this.#outbox.frame(kindOf(frameTypes.settings, frameFlags.ack), 0, 0);
  }

  sendGoaway(lastStreamId: number, code: ErrorCode, reason: string): void {
    const text = Buffer.from(reason, "latin1").subarray(0, reasonBytesMax);
    this.#outbox.frame(kindOf(frameTypes.goaway, 0), 0, 8 + text.length);
    this.#outbox.uint32(lastStreamId);
    this.#outbox.uint32(code);
    this.#outbox.bytes(text);
  }

  /** @throws ConnectionFailure "flowControlError" when the client sends more than it may on the whole connection. */
  takeFromWindow(bytes: number): void {
    this.#receivedBytes += bytes;
    this.#receiveWindowBytes -= bytes;
    if (this.#receiveWindowBytes >= 0) return;
    const message = "The client sends more than it may";
    throw new ConnectionFailure(errorCodes.flowControlError, message);
  }

  sendHeaders(streamId: number, block: Uint8Array, isEnd: boolean): void {
    this.sender.headers(streamId, block, isEnd);
    const stream = this.streams.get(streamId);
    if (isEnd && stream !== undefined) this.settle(stream);
    this.#onWrite();
  }

  wantSend(stream: Stream): void {
    this.sender.list(stream);
    this.#onWrite();
  }

  sendReset(stream: Stream, code: ErrorCode): void {
    this.resetStream(stream.id, code);
    this.#onWrite();
  }

  consumed(stream: Stream, bytes: number): void {
    if (this.#isEnded) return;
    stream.consumedBytes += bytes;
    const paidBytes = Math.min(stream.lentBytes, bytes);
    if (paidBytes > 0) {
      stream.lentBytes -= paidBytes;
      this.#lentBytes -= paidBytes;
      this.#giveLent(paidBytes);
    }
    this.credit(bytes - paidBytes);
    if (stream.isReset || stream.isRemoteEnded) return;
    stream.creditBytes += bytes;
    if (stream.creditBytes * creditParts < this.streamWindowBytes) return;
    stream.receiveWindowBytes += stream.creditBytes;
    this.#sendWindowUpdate(stream.id, stream.creditBytes);
    stream.creditBytes = 0;
  }

  setAside(stream: Stream): void {
    const bytes = stream.receivedBytes - stream.consumedBytes - stream.lentBytes;
    if (bytes <= 0 || this.#isEnded || !this.#tryLend(bytes)) return;
    stream.lentBytes += bytes;
    this.#lentBytes += bytes;
    this.#creditBytes += bytes;
    // At once: there may be nothing left of the window for something more to come.
    this.#sendCredit();
  }

  /** Bytes that nobody will look at. */
  credit(bytes: number): void {
    if (this.#isEnded) return;
    this.#creditBytes += bytes;
    if (this.#creditBytes * creditParts < this.#windowBytes) return;
    this.#sendCredit();
  }

  #sendCredit(): void {
    this.#receiveWindowBytes += this.#creditBytes;
    this.#sendWindowUpdate(0, this.#creditBytes);
    this.#creditBytes = 0;
  }

  #sendWindowUpdate(streamId: number, bytes: number): void {
    this.#outbox.frame(kindOf(frameTypes.windowUpdate, 0), streamId, 4);
    this.#outbox.uint32(bytes);
    this.#onWrite();
  }

  resetStream(streamId: number, code: ErrorCode): void {
    this.#outbox.frame(kindOf(frameTypes.rstStream, 0), streamId, 4);
    this.#outbox.uint32(code);
    this.streams.noteReset(streamId);
    const stream = this.streams.get(streamId);
    if (stream === undefined) return;
    this.forget(stream);
    stream.abandon();
  }

  /** Forgets a stream of which both sides have sent everything; one that was answered early is reset without error. */
  settle(stream: Stream): void {
    if (!stream.isLocalEnded || stream.isReset) return;
    if (!stream.isRemoteEnded) {
      this.resetStream(stream.id, errorCodes.noError);
      return;
    }
    this.forget(stream);
  }

  forget(stream: Stream): void {
    this.streams.delete(stream);
    this.sender.unlist(stream);
  }
}
