import type { Clock } from "../../base/clock.ts";
import type { ConnectionLimit } from "../connection-limit.ts";
import { type ErrorCode, errorCodes } from "../http2/failure.ts";
import { encodeHeaders } from "../http2/hpack-encoder.ts";
import type { Http2Handler } from "../http2/inbound.ts";
import { type Http2Listener, listenHttp2 } from "../http2/listener.ts";
import type { Stream, StreamSink } from "../http2/stream.ts";
import { type CallHost, GrpcCall, headerOf } from "./call.ts";
import { Gathering } from "./gathering.ts";
import type { GrpcHandler } from "./method.ts";
import { grpcCodes } from "./status.ts";
import { trailersOnly } from "./trailers.ts";

/** `text` is JSON for `GET /up`, else a sentence. */
export type PlainAnswer = { readonly status: number; readonly text: string };

export type OwnServerOptions = {
  readonly hostname: string;
  readonly port: number;
  readonly handler: GrpcHandler;
  readonly clock: Clock;
  readonly receivedMessageBytesMax: number;
  /** Windows: what clients may send before anybody asks. It is not held: what comes of it is counted below. */
  readonly windowBytesMax: number;
  /** What may wait in messages that have not come whole, or that nobody has taken yet. */
  readonly messageBytesMax: number;
  /** What may wait in answers that clients do not take. */
  readonly answerBytesMax: number;
  readonly onCut: (code: ErrorCode) => void;
  /** Answer to `GET /up`. */
  readonly up: () => PlainAnswer;
  /** PEM texts. Absent: in the clear. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly reusePort?: boolean;
  /** How many connections may be open, over all that share it. */
  readonly limit?: ConnectionLimit;
};

type Host = CallHost & Pick<OwnServerOptions, "up">;

/** Serves gRPC by our own HTTP/2. @throws the system's error when the port cannot be bound. */
export function listenOwnGrpc(options: OwnServerOptions): Http2Listener {
  const { hostname, port, clock, windowBytesMax, answerBytesMax, onCut, tls } = options;
  return listenHttp2({
    hostname,
    port,
    clock,
    windowBytesMax,
    queueBytesMax: answerBytesMax,
    onCut,
    handler: grpcOverHttp2(options),
    tls,
    reusePort: options.reusePort,
    limit: options.limit,
  });
}

/** Not `application/grpc-web`, whose messages have another form. */
const grpcType = /^application\/grpc(?:$|[+;\s])/i;

/** What answers the streams of a port. */
export function grpcOverHttp2(
  options: Omit<
    OwnServerOptions,
    "hostname" | "port" | "onCut" | "windowBytesMax" | "answerBytesMax" | "limit"
  >,
): Http2Handler {
  const host = { ...options, gathering: new Gathering(options.messageBytesMax) };
  return { open: (stream) => openStream(stream, host) };
}

function openStream(stream: Stream, host: Host): StreamSink {
  const { method, path } = stream.head;
  const isProbe = (method === "GET" || method === "HEAD") && path === "/up";
  if (isProbe) return new PlainSink(stream, host.up, jsonType);
  const why = `There is no ${method} ${path} here`;
  if (method !== "POST") return plain(stream, method === "GET" ? 404 : 405, why);
  const type = headerOf(stream, "content-type");
  if (type === null || !grpcType.test(type)) {
    return plain(stream, 415, "This port speaks gRPC: application/grpc");
  }
  const found = host.handler.methods.get(path);
  if (found === undefined) {
    const message = `There is no method ${path}`;
    const status = { code: grpcCodes.unimplemented, message, retryAfterMs: null };
    stream.respond(trailersOnly(status), true);
    return ignored;
  }
  return new GrpcCall({ stream, method: found, host });
}

const jsonType = "application/json";
const textType = "text/plain; charset=utf-8";

function plain(stream: Stream, status: number, text: string): PlainSink {
  return new PlainSink(stream, () => ({ status, text }), textType);
}

/** Answers what is no call, once it has come whole. */
class PlainSink implements StreamSink {
  readonly #stream: Stream;
  readonly #answer: () => PlainAnswer;
  readonly #type: string;

  constructor(stream: Stream, answer: () => PlainAnswer, type: string) {
    this.#stream = stream;
    this.#answer = answer;
    this.#type = type;
  }

  data(bytes: Uint8Array): void {
    this.#stream.consume(bytes.length);
  }

  ended(): void {
    const { status, text } = this.#answer();
    const body = Buffer.from(text);
    const block = encodeHeaders([
      [":status", String(status)],
      ["content-type", this.#type],
      ["content-length", String(body.length)],
    ]);
    const isHead = this.#stream.head.method === "HEAD";
    this.#stream.respond(block, isHead);
    if (isHead) return;
    this.#stream.write(body);
    this.#stream.end(null);
  }

  reset(): void {}
  drained(): void {}

  get isAwaited(): boolean {
    return !this.#stream.isRemoteEnded;
  }

  tooSlow(): void {
    this.#stream.reset(errorCodes.cancel);
  }
}

const ignored: StreamSink = {
  data() {},
  ended() {},
  reset() {},
  drained() {},
  isAwaited: false,
  tooSlow() {},
};
