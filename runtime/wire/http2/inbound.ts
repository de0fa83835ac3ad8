import { ConnectionFailure, type ErrorCode, errorCodes, StreamFailure } from "./failure.ts";
import type { FloodGuard } from "./flood-guard.ts";
import type { FrameHeader, FrameTaker } from "./frame-cutter.ts";
import { frameFlags, frameTypes } from "./frames.ts";
import { HeaderBlocks } from "./header-blocks.ts";
import { headerListBytesMax, streamsMax, turnBytesMax } from "./limits.ts";
import type { Outbound } from "./outbound.ts";
import { cutHeaders, uint31 } from "./payloads.ts";
import { checkRequest, checkTrailers, malformed } from "./request-head.ts";
import { Stream, type StreamSink } from "./stream.ts";

/** What answers the requests of a connection. */
export type Http2Handler = {
  /** Takes a request; what it returns takes the body. Called before the first byte of the body. */
  open(stream: Stream): StreamSink;
};

/** What a client's frames do. */
export class Inbound implements FrameTaker {
  readonly #out: Outbound;
  readonly #flood: FloodGuard;
  readonly #handler: Http2Handler;
  readonly #blocks = new HeaderBlocks(headerListBytesMax);
  hasSettings = false;
  /** New streams are refused. */
  isClosing = false;
  /** The stream of the DATA frame that has begun; null when its bytes are dropped. */
  #dataStream: Stream | null = null;
  #dataHeader: FrameHeader | null = null;
  #dataBodyBytes = 0;
  /** Frames of answers that clients have been forgiven theirs for. */
  #seenFrames = 0;

  /** The stream of the header block that has begun; null when there is none. */
  get openBlock(): number | null {
    return this.#blocks.openStreamId;
  }

  constructor(parts: { out: Outbound; flood: FloodGuard; handler: Http2Handler }) {
    this.#out = parts.out;
    this.#flood = parts.flood;
    this.#handler = parts.handler;
  }

  frame(header: FrameHeader, payload: Uint8Array): void {
    if (this.#out.ownBytes > turnBytesMax) {
      throw failure(errorCodes.enhanceYourCalm, "Too many answers to what came at one time");
    }
    try {
      this.#take(header, payload);
    } catch (error) {
      this.#streamFailed(error);
    }
  }

  #take(header: FrameHeader, payload: Uint8Array): void {
    const { type } = header;
    if (!this.hasSettings && type !== frameTypes.settings) {
      throw failure(errorCodes.protocolError, "The first frame is not SETTINGS");
    }
    if (this.#blocks.isOpen && type !== frameTypes.continuation) {
      throw failure(errorCodes.protocolError, "Another frame stands within a header block");
    }
    switch (type) {
      case frameTypes.headers:
        this.#headers(header, payload);
        break;
      case frameTypes.continuation:
        this.#continuation(header, payload);
        break;
      case frameTypes.windowUpdate:
        this.#windowUpdate(header, payload);
        break;
      case frameTypes.ping:
        this.#ping(header, payload);
        break;
      case frameTypes.rstStream:
        this.#rstStream(header, payload);
        break;
      case frameTypes.settings:
        this.#settings(header, payload);
        break;
      case frameTypes.priority:
        this.#priority(header, payload);
        break;
      case frameTypes.goaway:
        if (header.streamId !== 0) throw onStream("GOAWAY");
        this.#flood.count("idle");
        break;
      case frameTypes.pushPromise:
        throw failure(errorCodes.protocolError, "A client must not push");
      default:
        // Frames of extensions are passed over. @source RFC 9113, section 5.5.
        this.#flood.count("idle");
    }
  }

  /** A failure of one stream ends that stream; any other goes on. */
  #streamFailed(error: unknown): void {
    if (!(error instanceof StreamFailure)) throw error;
    this.#break(error.streamId, error.code);
  }

  /** Every reset that a client causes is counted: its calls may go on within, and it may open others at once. */
  #break(streamId: number, code: ErrorCode): void {
    this.#flood.count("refused");
    this.#out.resetStream(streamId, code);
  }

  dataBegins(header: FrameHeader): void {
    const { streamId, lengthBytes } = header;
    if (!this.hasSettings) throw failure(errorCodes.protocolError, "DATA before SETTINGS");
    if (this.#blocks.isOpen) throw failure(errorCodes.protocolError, "DATA within a header block");
    if (streamId === 0) throw failure(errorCodes.protocolError, "DATA on stream 0");
    this.#out.takeFromWindow(lengthBytes);
    this.#dataHeader = header;
    this.#dataBodyBytes = 0;
    this.#dataStream = null;
    const stream = this.#out.streams.get(streamId);
    if (stream === undefined) {
      this.#out.streams.checkNotIdle(streamId);
      if (this.#out.streams.wasReset(streamId)) return;
      this.#break(streamId, errorCodes.streamClosed);
      return;
    }
    if (stream.isRemoteEnded) {
      this.#break(streamId, errorCodes.streamClosed);
      return;
    }
    stream.receiveWindowBytes -= lengthBytes;
    if (stream.receiveWindowBytes < 0) {
      this.#break(streamId, errorCodes.flowControlError);
      return;
    }
    this.#dataStream = stream;
  }

  dataBytes(bytes: Uint8Array): void {
    this.#dataBodyBytes += bytes.length;
    const stream = this.#dataStream;
    const sink = stream?.sink ?? null;
    if (stream === null || sink === null) {
      this.#out.credit(bytes.length);
      return;
    }
    stream.receivedBytes += bytes.length;
    sink.data(bytes);
    if (stream.isSetAside) this.#out.setAside(stream);
  }

  dataEnds(): void {
    const header = this.#dataHeader;
    const stream = this.#dataStream;
    this.#dataHeader = null;
    this.#dataStream = null;
    if (header === null) return;
    // Padding is never seen by anybody.
    const isEnd = (header.flags & frameFlags.endStream) !== 0;
    if (this.#dataBodyBytes === 0 && !isEnd) this.#flood.count("emptyData");
    const paddingBytes = header.lengthBytes - this.#dataBodyBytes;
    if (paddingBytes > 0 && stream !== null) this.#out.consumed(stream, paddingBytes);
    else if (paddingBytes > 0) this.#out.credit(paddingBytes);
    if (stream === null || stream.isReset) return;
    try {
      if (isEnd) this.#remoteEnded(stream);
      else this.#checkLength(stream, false);
    } catch (error) {
      this.#streamFailed(error);
    }
  }

  #headers({ streamId, flags }: FrameHeader, payload: Uint8Array): void {
    if (streamId === 0) throw failure(errorCodes.protocolError, "HEADERS on stream 0");
    const { fragment, dependsOn } = cutHeaders(flags, payload);
    if (dependsOn === streamId) {
      throw failure(errorCodes.protocolError, "A stream depends on itself");
    }
    const isWhole = (flags & frameFlags.endHeaders) !== 0;
    // Kept until its end comes, a view would keep the whole chunk.
    const kept = isWhole ? fragment : new Uint8Array(fragment);
    this.#blocks.begin(streamId, (flags & frameFlags.endStream) !== 0, kept);
    if (isWhole) this.#blockEnded();
  }

  #continuation({ streamId, flags }: FrameHeader, payload: Uint8Array): void {
    this.#blocks.add(streamId, new Uint8Array(payload));
    if ((flags & frameFlags.endHeaders) !== 0) this.#blockEnded();
  }

  #blockEnded(): void {
    // Decoded in any case: later blocks build on it.
    const { streamId, isEnd, decoded, isTooLarge } = this.#blocks.end();
    const known = this.#out.streams.get(streamId);
    if (known !== undefined) {
      if (known.isRemoteEnded) {
        this.#break(streamId, errorCodes.streamClosed);
        return;
      }
      checkTrailers(streamId, decoded.fields);
      if (!isEnd) throw malformed(streamId, "headers stand in the middle of the body");
      this.#remoteEnded(known);
      return;
    }
    if (streamId % 2 === 0) throw failure(errorCodes.protocolError, "A client's stream is odd");
    if (streamId <= this.#out.streams.lastId) {
      if (this.#out.streams.wasReset(streamId)) return;
      throw failure(errorCodes.streamClosed, `HEADERS on the closed stream ${streamId}`);
    }
    this.#out.streams.lastId = streamId;
    // The client may not have heard yet that there is an end.
    if (this.isClosing || this.#out.streams.size >= streamsMax) {
      throw new StreamFailure(errorCodes.refusedStream, streamId, "There are too many streams");
    }
    if (isTooLarge) {
      throw new StreamFailure(errorCodes.enhanceYourCalm, streamId, "The headers are too long");
    }
    decoded.head ??= checkRequest(streamId, decoded.fields);
    this.#open(streamId, decoded.head, isEnd);
  }

  #open(streamId: number, head: ReturnType<typeof checkRequest>, isEnd: boolean): void {
    const stream = new Stream(this.#out, streamId, head, this.#out.peer.initialWindowBytes);
    this.#out.streams.add(stream);
    if (isEnd && head.lengthBytes !== null && head.lengthBytes > 0) {
      throw malformed(streamId, "it has no body, but a content-length");
    }
    // Known before the handler answers: an answer to a whole request ends the stream.
    stream.isRemoteEnded = isEnd;
    const sink = this.#handler.open(stream);
    if (stream.isReset) return;
    stream.sink = sink;
    if (isEnd) sink.ended();
  }

  #remoteEnded(stream: Stream): void {
    this.#checkLength(stream, true);
    stream.isRemoteEnded = true;
    stream.sink?.ended();
    this.#out.settle(stream);
  }

  #checkLength({ id, head, receivedBytes }: Stream, isEnd: boolean): void {
    const { lengthBytes } = head;
    if (lengthBytes === null) return;
    if (receivedBytes > lengthBytes || (isEnd && receivedBytes !== lengthBytes)) {
      throw malformed(id, `${receivedBytes} bytes came, its content-length is ${lengthBytes}`);
    }
  }

  #windowUpdate({ streamId }: FrameHeader, payload: Uint8Array): void {
    if (payload.length !== 4) throw failure(errorCodes.frameSizeError, "WINDOW_UPDATE has 4 bytes");
    this.#countAgainstAnswers("windowUpdate");
    const bytes = uint31(payload, 0);
    if (streamId === 0) {
      if (bytes === 0) throw failure(errorCodes.protocolError, "A window grows by 0 bytes");
      this.#out.sender.widenAll(bytes);
      return;
    }
    const stream = this.#out.streams.get(streamId);
    if (stream === undefined) {
      this.#out.streams.checkNotIdle(streamId);
      this.#flood.count("idle");
      return;
    }
    if (bytes === 0) {
      throw new StreamFailure(errorCodes.protocolError, streamId, "A window grows by 0 bytes");
    }
    this.#out.sender.widen(stream, bytes);
  }

  /** Clients send these because of what we send: they are too many only when we sent nothing. */
  #countAgainstAnswers(kind: "ping" | "windowUpdate"): void {
    const { frames } = this.#out.sender;
    const sent = frames - this.#seenFrames;
    this.#seenFrames = frames;
    if (sent > 0) {
      this.#flood.forgive("ping", sent);
      this.#flood.forgive("windowUpdate", 2 * sent);
    }
    this.#flood.count(kind);
  }

  #ping({ streamId, flags }: FrameHeader, payload: Uint8Array): void {
    if (streamId !== 0) throw onStream("PING");
    if (payload.length !== 8) throw failure(errorCodes.frameSizeError, "PING has 8 bytes");
    if ((flags & frameFlags.ack) !== 0) {
      this.#flood.count("idle");
      return;
    }
    this.#countAgainstAnswers("ping");
    this.#out.answerPing(payload);
  }

  #rstStream({ streamId }: FrameHeader, payload: Uint8Array): void {
    if (streamId === 0) throw failure(errorCodes.protocolError, "RST_STREAM on stream 0");
    if (payload.length !== 4) throw failure(errorCodes.frameSizeError, "RST_STREAM has 4 bytes");
    this.#out.streams.checkNotIdle(streamId);
    const stream = this.#out.streams.get(streamId);
    if (stream === undefined) {
      this.#flood.count("idle");
      return;
    }
    this.#flood.count("reset");
    this.#out.forget(stream);
    stream.abandon();
  }

  #settings({ streamId, flags }: FrameHeader, payload: Uint8Array): void {
    if (streamId !== 0) throw onStream("SETTINGS");
    if ((flags & frameFlags.ack) !== 0) {
      if (payload.length > 0) throw failure(errorCodes.frameSizeError, "An answer has no settings");
      this.#flood.count("idle");
      return;
    }
    this.hasSettings = true;
    this.#flood.count("settings");
    const growthBytes = this.#out.peer.take(payload);
    if (growthBytes !== 0) this.#out.sender.shiftAll(this.#out.streams.all(), growthBytes);
    this.#out.answerSettings();
  }

  #priority({ streamId }: FrameHeader, payload: Uint8Array): void {
    if (streamId === 0) throw failure(errorCodes.protocolError, "PRIORITY on stream 0");
    this.#flood.count("priority");
    if (payload.length === 5 && uint31(payload, 0) !== streamId) return;
    const code = payload.length === 5 ? errorCodes.protocolError : errorCodes.frameSizeError;
    const why = "PRIORITY has 5 bytes and names another stream";
    // One that has not begun cannot be reset.
    if (streamId > this.#out.streams.lastId) throw failure(code, why);
    throw new StreamFailure(code, streamId, why);
  }
}

function failure(code: ErrorCode, message: string): ConnectionFailure {
  return new ConnectionFailure(code, message);
}

function onStream(what: string): ConnectionFailure {
  return failure(errorCodes.protocolError, `${what} belongs to stream 0`);
}
