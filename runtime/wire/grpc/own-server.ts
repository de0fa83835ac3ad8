import type { Clock } from "../../base/clock.ts";
import type { ErrorCode } from "../http2/failure.ts";
import { encodeHeaders } from "../http2/hpack-encoder.ts";
import type { Http2Handler } from "../http2/inbound.ts";
import { type Http2Listener, listenHttp2 } from "../http2/listener.ts";
import type { Stream, StreamSink } from "../http2/stream.ts";
import { type CallHost, GrpcCall, headerOf } from "./call.ts";
import { Gathering } from "./gathering.ts";
import type { GrpcHandler } from "./method.ts";
import { grpcCodes } from "./status.ts";
import { trailersOnly } from "./trailers.ts";

export type OwnServerOptions = {
  readonly hostname: string;
  readonly port: number;
  readonly handler: GrpcHandler;
  readonly clock: Clock;
  readonly receivedMessageBytesMax: number;
  /**
   * Memory for what clients may send before anybody asks. As much again may wait in messages that have not come whole,
   * and in answers that clients do not take.
   */
  readonly windowBytesMax: number;
  readonly onCut: (code: ErrorCode) => void;
  /** Body of `GET /up`. */
  readonly up: () => string;
  /** PEM texts. Absent: in the clear. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly reusePort?: boolean;
};

type Host = CallHost & Pick<OwnServerOptions, "up">;

/** Serves gRPC by our own HTTP/2. @throws the system's error when the port cannot be bound. */
export function listenOwnGrpc(options: OwnServerOptions): Http2Listener {
  const { hostname, port, clock, windowBytesMax, onCut, tls, reusePort } = options;
  return listenHttp2({
    hostname,
    port,
    clock,
    windowBytesMax,
    queueBytesMax: windowBytesMax,
    onCut,
    handler: grpcOverHttp2(options),
    tls,
    reusePort,
  });
}

/** Not `application/grpc-web`, whose messages have another form. */
const grpcType = /^application\/grpc(?:$|[+;\s])/i;

/** What answers the streams of a port. */
export function grpcOverHttp2(
  options: Omit<OwnServerOptions, "hostname" | "port" | "onCut">,
): Http2Handler {
  const host = { ...options, gathering: new Gathering(options.windowBytesMax) };
  return { open: (stream) => openStream(stream, host) };
}

function openStream(stream: Stream, host: Host): StreamSink {
  const { method, path } = stream.head;
  const isProbe = (method === "GET" || method === "HEAD") && path === "/up";
  if (isProbe) return new PlainSink(stream, 200, host.up);
  const why = `There is no ${method} ${path} here`;
  if (method !== "POST") return new PlainSink(stream, method === "GET" ? 404 : 405, () => why);
  const type = headerOf(stream, "content-type");
  if (type === null || !grpcType.test(type)) {
    return new PlainSink(stream, 415, () => "This port speaks gRPC: application/grpc");
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

/** Answers what is no call, once it has come whole. */
class PlainSink implements StreamSink {
  readonly #stream: Stream;
  readonly #status: number;
  readonly #text: () => string;

  constructor(stream: Stream, status: number, text: () => string) {
    this.#stream = stream;
    this.#status = status;
    this.#text = text;
  }

  data(bytes: Uint8Array): void {
    this.#stream.consume(bytes.length);
  }

  ended(): void {
    const body = Buffer.from(this.#text());
    const block = encodeHeaders([
      [":status", String(this.#status)],
      ["content-type", this.#status === 200 ? "application/json" : "text/plain; charset=utf-8"],
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
}

const ignored: StreamSink = { data() {}, ended() {}, reset() {}, drained() {} };
