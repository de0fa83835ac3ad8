import type { Socket } from "bun";
import { MiB } from "../../../runtime/base/units.ts";
import { errorCodes } from "../../../runtime/wire/http2/failure.ts";
import {
  firstWindowBytes,
  frameBytesMax,
  frameFlags,
  frameTypes,
  preface,
  settingIds,
} from "../../../runtime/wire/http2/frames.ts";
import { HeaderBlocks } from "../../../runtime/wire/http2/header-blocks.ts";
import { headerTableBytes } from "../../../runtime/wire/http2/hpack-decoder.ts";
import type { HeaderField } from "../../../runtime/wire/http2/hpack-table.ts";
import { cutHeaders, uint31 } from "../../../runtime/wire/http2/payloads.ts";
import type { Loss } from "../lane.ts";
import type { ClientCall } from "./call.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";
import { RequestHeaders } from "./request-headers.ts";

/** Of each stream and of the connection, as Bazel's gRPC library has it. @source grpc-java, NettyChannelBuilder. */
const windowBytes = 1 * MiB;
const headerListBytesMax = 64 * 1_024;
const settingBytes = 6;

export type ClientOptions = {
  readonly host: string;
  readonly port: number;
  readonly authority: string;
  /** For every call. */
  readonly fields: readonly HeaderField[];
};

/**
 * One HTTP/2 connection of a load, with many calls at once. It does what a server that is measured needs and no more:
 * a frame that it does not expect ends it.
 */
export class ClientConnection implements FrameSink {
  readonly #reader = new FrameReader(this);
  readonly #writer = new FrameWriter();
  readonly #blocks = new HeaderBlocks(headerListBytesMax);
  readonly #headers: RequestHeaders;
  readonly #calls = new Map<number, ClientCall>();
  /** Calls that wait for the server's settings. */
  #waiting: ClientCall[] = [];
  /** Calls with something to send that their windows allow, in turn. */
  #ready: ClientCall[] = [];
  #socket: Socket<ClientConnection> | null = null;
  #nextStreamId = 1;
  #sendWindowBytes = firstWindowBytes;
  #streamWindowBytes = firstWindowBytes;
  #creditBytes = 0;
  #hasSettings = false;
  #isCorked = false;
  #isGone = false;
  /** It takes no calls any more. */
  isClosing = false;

  constructor({ host, port, authority, fields }: ClientOptions) {
    this.#headers = new RequestHeaders(authority, fields);
    Bun.connect<ClientConnection>({ hostname: host, port, data: this, socket: handlers }).catch(
      // The handler `connectError` has heard of it already; without this the rejection would end the process.
      () => {},
    );
  }

  begin(call: ClientCall): void {
    if (!this.#hasSettings) {
      this.#waiting.push(call);
      return;
    }
    this.#open(call);
    this.#send();
  }

  /** The call is given up; nobody is told. */
  cancel(call: ClientCall): void {
    const { streamId } = call.flow;
    this.#waiting = this.#waiting.filter((each) => each !== call);
    if (!this.#calls.delete(streamId)) return;
    this.#ready = this.#ready.filter((each) => each !== call);
    this.#writer.uint32Frame(frameTypes.rstStream, streamId, errorCodes.cancel);
    this.#send();
  }

  close(): void {
    this.#end("closed");
  }

  opened(socket: Socket<ClientConnection>): void {
    if (this.#isGone) {
      socket.terminate();
      return;
    }
    socket.setNoDelay(true);
    this.#socket = socket;
    this.#writer.bytes(preface);
    const settings = Buffer.alloc(2 * settingBytes);
    settings.writeUInt16BE(settingIds.enablePush, 0);
    settings.writeUInt16BE(settingIds.initialWindowSize, settingBytes);
    settings.writeUInt32BE(windowBytes, settingBytes + 2);
    this.#writer.frame(frameTypes.settings, 0, 0, settings);
    this.#writer.uint32Frame(frameTypes.windowUpdate, 0, windowBytes - firstWindowBytes);
    this.#send();
  }

  drained(): void {
    this.#send();
  }

  received(bytes: Buffer): void {
    if (this.#isGone) return;
    this.#isCorked = true;
    try {
      this.#reader.take(bytes);
    } catch {
      this.#end("garbled");
    }
    this.#isCorked = false;
    this.#send();
  }

  closed(): void {
    this.#end("closed");
  }

  refused(): void {
    this.#end("refused");
  }

  data(streamId: number, bytes: Buffer, from: number, to: number): void {
    this.#creditBytes += to - from;
    const call = this.#calls.get(streamId);
    if (call === undefined) return;
    call.flow.creditBytes += to - from;
    call.data(bytes, from, to);
  }

  dataEnd(streamId: number, isStreamEnd: boolean): void {
    if (this.#creditBytes * 2 >= windowBytes) {
      this.#writer.uint32Frame(frameTypes.windowUpdate, 0, this.#creditBytes);
      this.#creditBytes = 0;
    }
    const call = this.#calls.get(streamId);
    if (call === undefined) return;
    if (isStreamEnd) {
      this.#ended(call, null);
    } else if (call.flow.creditBytes * 2 >= windowBytes) {
      this.#writer.uint32Frame(frameTypes.windowUpdate, streamId, call.flow.creditBytes);
      call.flow.creditBytes = 0;
    }
  }

  frame(type: number, flags: number, streamId: number, payload: Buffer): void {
    switch (type) {
      case frameTypes.headers:
        this.#blocks.begin(
          streamId,
          (flags & frameFlags.endStream) !== 0,
          cutHeaders(flags, payload).fragment,
        );
        if ((flags & frameFlags.endHeaders) !== 0) this.#blockEnded();
        break;
      case frameTypes.continuation:
        this.#blocks.add(streamId, payload);
        if ((flags & frameFlags.endHeaders) !== 0) this.#blockEnded();
        break;
      case frameTypes.windowUpdate:
        this.#widen(streamId, uint31(payload, 0));
        break;
      case frameTypes.settings:
        if ((flags & frameFlags.ack) === 0) this.#takeSettings(payload);
        break;
      case frameTypes.ping:
        if ((flags & frameFlags.ack) === 0) {
          this.#writer.frame(frameTypes.ping, frameFlags.ack, 0, payload);
        }
        break;
      case frameTypes.rstStream:
        this.#reset(streamId);
        break;
      case frameTypes.goaway:
        this.#goingAway(uint31(payload, 0));
        break;
      default:
      // Frames of extensions are passed over. @source RFC 9113, section 5.5.
    }
  }

  #blockEnded(): void {
    const { streamId, isEnd, decoded } = this.#blocks.end();
    const { fields } = decoded;
    const call = this.#calls.get(streamId);
    if (call === undefined) return;
    if (isEnd) this.#ended(call, fields);
    else call.headers(fields);
  }

  #ended(call: ClientCall, trailers: readonly HeaderField[] | null): void {
    const { streamId } = call.flow;
    this.#calls.delete(streamId);
    if (!call.source.isDone) {
      // An answer to half of a request: the server wants no more of it.
      this.#ready = this.#ready.filter((each) => each !== call);
      this.#writer.uint32Frame(frameTypes.rstStream, streamId, errorCodes.cancel);
    }
    call.ended(trailers);
  }

  #widen(streamId: number, bytes: number): void {
    if (streamId === 0) {
      this.#sendWindowBytes += bytes;
      return;
    }
    const call = this.#calls.get(streamId);
    if (call === undefined) return;
    call.flow.sendWindowBytes += bytes;
    this.#list(call);
  }

  #takeSettings(payload: Buffer): void {
    for (let at = 0; at + settingBytes <= payload.length; at += settingBytes) {
      const value = payload.readUInt32BE(at + 2);
      switch (payload.readUInt16BE(at)) {
        case settingIds.initialWindowSize:
          for (const call of this.#calls.values()) {
            call.flow.sendWindowBytes += value - this.#streamWindowBytes;
            this.#list(call);
          }
          this.#streamWindowBytes = value;
          break;
        case settingIds.headerTableSize:
          if (value >= headerTableBytes) break;
          if (this.#hasSettings) throw new Error("The server changes the size of its table");
          this.#headers.shrink();
          break;
        default:
      }
    }
    this.#writer.frame(frameTypes.settings, frameFlags.ack, 0, Buffer.alloc(0));
    this.#hasSettings = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) this.#open(call);
  }

  #reset(streamId: number): void {
    const call = this.#calls.get(streamId);
    if (call === undefined) return;
    this.#calls.delete(streamId);
    this.#ready = this.#ready.filter((each) => each !== call);
    call.lost("reset");
  }

  /** Calls up to the last stream that the server has seen are still answered. */
  #goingAway(lastStreamId: number): void {
    this.isClosing = true;
    for (const [streamId, call] of this.#calls) {
      if (streamId <= lastStreamId) continue;
      this.#calls.delete(streamId);
      this.#ready = this.#ready.filter((each) => each !== call);
      call.lost("closed");
    }
  }

  #open(call: ClientCall): void {
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    this.#calls.set(streamId, call);
    call.flow.begin(streamId, this.#streamWindowBytes);
    const block = this.#headers.blockOf(call.path);
    this.#writer.frame(frameTypes.headers, frameFlags.endHeaders, streamId, block);
    this.#list(call);
  }

  #list(call: ClientCall): void {
    const { flow } = call;
    if (flow.isListed || flow.sendWindowBytes <= 0 || call.source.isDone) return;
    flow.isListed = true;
    this.#ready.push(call);
  }

  /** Until there is nothing to send, nothing that may be sent, or the socket is full. */
  #send(): void {
    const socket = this.#socket;
    if (this.#isCorked || socket === null) return;
    do {
      this.#addData();
      if (!this.#writer.flush(socket)) return;
    } while (this.#ready.length > 0 && this.#sendWindowBytes > 0);
    if (this.isClosing && this.#calls.size === 0) this.close();
  }

  #addData(): void {
    const ready = this.#ready;
    let at = 0;
    while (at < ready.length && this.#sendWindowBytes > 0 && this.#writer.hasDataRoom) {
      const call = ready[at++]!;
      const { flow, source } = call;
      const bytesMax = Math.min(frameBytesMax, flow.sendWindowBytes, this.#sendWindowBytes);
      const bytes = this.#writer.dataFrame(flow.streamId, source, bytesMax);
      flow.sendWindowBytes -= bytes;
      this.#sendWindowBytes -= bytes;
      flow.isListed = !source.isDone && flow.sendWindowBytes > 0;
      if (flow.isListed) ready.push(call);
    }
    if (at > 0) ready.splice(0, at);
  }

  #end(loss: Loss): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.isClosing = true;
    this.#socket?.terminate();
    const calls = [...this.#waiting, ...this.#calls.values()];
    this.#waiting = [];
    this.#calls.clear();
    this.#ready = [];
    for (const call of calls) call.lost(loss);
  }
}

/** Shared by all connections: the one that is meant hangs on its socket. */
const handlers = {
  binaryType: "buffer" as const,
  open: (socket: Socket<ClientConnection>) => socket.data.opened(socket),
  data: (socket: Socket<ClientConnection>, bytes: Buffer) => socket.data.received(bytes),
  drain: (socket: Socket<ClientConnection>) => socket.data.drained(),
  close: (socket: Socket<ClientConnection>) => socket.data.closed(),
  error: (socket: Socket<ClientConnection>) => socket.data.closed(),
  connectError: (socket: Socket<ClientConnection>) => socket.data.refused(),
};
