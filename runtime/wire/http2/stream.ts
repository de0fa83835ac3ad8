import { assert } from "../../base/assert.ts";
import type { ErrorCode } from "./failure.ts";
import { streamStallMsMax } from "./limits.ts";
import type { RequestHead } from "./request-head.ts";

/** What takes the body of a request. Called in the order of what came; after `ended` or `reset` never again. */
export interface StreamSink {
  /** Who keeps the bytes says so by `keepChunk`; whoever is done with them gives their count to `Stream.consume`. */
  data(bytes: Uint8Array): void;
  /** The client has sent everything. */
  ended(): void;
  /** The stream is gone: the client took it back, or the connection ended. */
  reset(): void;
  /** Everything that was written has been handed to the socket. */
  drained(): void;
  /** More of the request is waited for: the client does not wait for us. */
  readonly isAwaited: boolean;
  /** It was waited for too long: the request is given up. */
  tooSlow(): void;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  sendHeaders(streamId: number, block: Uint8Array, isEnd: boolean): void;
  /** The stream has bytes, or an end, to send. */
  wantSend(stream: Stream): void;
  sendReset(stream: Stream, code: ErrorCode): void;
  consumed(stream: Stream, bytes: number): void;
  setAside(stream: Stream): void;
  readonly queue: SendQueue;
  /** What a client may send on a new stream. */
  readonly streamWindowBytes: number;
}

/** Bytes of answers that wait for their clients, over all connections of a port. */
export class SendQueue {
  readonly #bytesMax: number;
  bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** One answer is let in however large it is, or it could never be given. */
  hasRoom(bytes: number): boolean {
    return this.bytes === 0 || this.bytes + bytes <= this.#bytesMax;
  }
}

type Piece = { readonly head: Uint8Array | null; readonly bytes: Uint8Array; atBytes: number };

/** One request and its answer. */
export class Stream {
  readonly id: number;
  readonly head: RequestHead;
  readonly #host: StreamHost;
  sink: StreamSink | null = null;
  /** What we may still send, and the client to us. The first may be negative. */
  sendWindowBytes: number;
  receiveWindowBytes: number;
  /** Consumed and not yet told to the client. */
  creditBytes = 0;
  receivedBytes = 0;
  /** Of these, the ones that somebody is done with. */
  consumedBytes = 0;
  /** See `setAside`. */
  isSetAside = false;
  /** Of what it holds of the window of its connection, what was given to the others all the same. */
  lentBytes = 0;
  isRemoteEnded = false;
  /** The last frame has been handed to the socket. */
  isLocalEnded = false;
  isReset = false;
  /** It stands in the list of those that send. */
  isListed = false;
  /** When a look first found bytes of which none has gone out since; null when there was none. */
  #heldSinceMs: number | null = null;
  readonly #pieces: Piece[] = [];
  #trailers: Uint8Array | null = null;
  #endsWithData = false;

  constructor(host: StreamHost, id: number, head: RequestHead, sendWindowBytes: number) {
    this.#host = host;
    this.id = id;
    this.head = head;
    this.sendWindowBytes = sendWindowBytes;
    this.receiveWindowBytes = host.streamWindowBytes;
  }

  get isOpen(): boolean {
    return !this.isReset && !this.isLocalEnded;
  }

  /** Sends the headers of the answer, and nothing more when they are the end. */
  respond(block: Uint8Array, isEnd: boolean): void {
    if (!this.isOpen) return;
    if (isEnd) this.isLocalEnded = true;
    this.#host.sendHeaders(this.id, block, isEnd);
  }

  /**
   * Sends bytes, which must stay as they are until the sink is told that they were drained. A short head goes out in one
   * frame with the first of them.
   */
  write(bytes: Uint8Array, head: Uint8Array | null = null): void {
    if (!this.isOpen) return;
    if (bytes.length === 0) {
      if (head !== null) this.write(head);
      return;
    }
    this.#pieces.push({ head, bytes, atBytes: 0 });
    this.#host.queue.bytes += bytes.length;
    this.#host.wantSend(this);
  }

  /** Ends the answer behind its bytes, with trailers if there are any. */
  end(trailers: Uint8Array | null): void {
    if (!this.isOpen) return;
    assert(this.#trailers === null && !this.#endsWithData, "an answer ends once");
    this.#trailers = trailers;
    this.#endsWithData = trailers === null;
    this.#host.wantSend(this);
  }

  reset(code: ErrorCode): void {
    if (!this.isReset && !(this.isLocalEnded && this.isRemoteEnded)) {
      this.#host.sendReset(this, code);
    }
  }

  /** The client may send as many bytes more. */
  consume(bytes: number): void {
    this.#host.consumed(this, bytes);
  }

  /**
   * Who reads it waits for something that other streams of the connection may have to bring, room on the disk say. What
   * it holds of the window of the connection is lent to them meanwhile, as far as memory allows.
   */
  setAside(isSetAside: boolean): void {
    this.isSetAside = isSetAside;
    if (isSetAside) this.#host.setAside(this);
  }

  /** Whether so many bytes may wait to be sent, beside all that wait already. */
  hasRoom(bytes: number): boolean {
    return this.#host.queue.hasRoom(bytes);
  }

  get hasBytes(): boolean {
    return this.#pieces.length > 0;
  }

  /** Trailers that are due now; null while there are bytes before them. */
  get dueTrailers(): Uint8Array | null {
    return this.#pieces.length === 0 ? this.#trailers : null;
  }

  /** An empty end is due now. */
  get isEndDue(): boolean {
    return this.#pieces.length === 0 && this.#endsWithData;
  }

  /** What goes in front of the next bytes; null for nothing. One that does not fit into a frame is sent alone. */
  nextHead(bytesMax: number): Uint8Array | null {
    const piece = this.#pieces[0];
    const head = piece?.head ?? null;
    if (piece === undefined || head === null || piece.atBytes > 0) return null;
    if (head.length < bytesMax) return head;
    this.#pieces[0] = { ...piece, head: null };
    this.#pieces.unshift({ head: null, bytes: head, atBytes: 0 });
    this.#host.queue.bytes += head.length;
    return null;
  }

  /** The next bytes to send, at most so many. To be called while there are any. */
  nextBytes(bytesMax: number): Uint8Array {
    const piece = this.#pieces[0];
    assert(piece !== undefined, "there are bytes to send");
    const { bytes, atBytes } = piece;
    const endBytes = Math.min(bytes.length, atBytes + bytesMax);
    piece.atBytes = endBytes;
    this.#heldSinceMs = null;
    if (endBytes === bytes.length) {
      this.#pieces.shift();
      this.#host.queue.bytes -= bytes.length;
    }
    return bytes.subarray(atBytes, endBytes);
  }

  /** Whether its window has been shut for too long, as of now, or nothing went out on the whole connection. */
  isStalled(nowMs: number, isConnectionStuck: boolean): boolean {
    if (!this.hasBytes || (this.sendWindowBytes > 0 && !isConnectionStuck)) {
      this.#heldSinceMs = null;
      return false;
    }
    this.#heldSinceMs ??= nowMs;
    return nowMs - this.#heldSinceMs > streamStallMsMax;
  }

  /** The last bytes that `nextBytes` gave are the end of the answer. */
  get endsHere(): boolean {
    return this.#pieces.length === 0 && this.#endsWithData;
  }

  /** Nothing of it goes out any more. */
  abandon(): void {
    this.isReset = true;
    for (const { bytes } of this.#pieces) this.#host.queue.bytes -= bytes.length;
    this.#pieces.length = 0;
    this.#trailers = null;
    const sink = this.sink;
    this.sink = null;
    sink?.reset();
  }
}
