import type { EventEmitter } from "node:events";
import type { Readable } from "node:stream";
import grpc from "@grpc/grpc-js";
import { systemClock } from "../../base/clock.ts";
import { Fault } from "../../base/fault.ts";
import { hour, second } from "../../base/units.ts";
import type { Call, GrpcHandler, GrpcMethod, Incoming, Replies } from "./method.ts";
import { encodeStatus, type GrpcStatus, grpcCodes } from "./status.ts";

/** A port on which gRPC is served. */
export type GrpcListener = {
  readonly port: number;
  /** Takes no calls any more; those in flight are cut when it is at once. */
  stop(isAtOnce: boolean): void;
};

export type GrpcListenOptions = {
  readonly hostname: string;
  /** 0 for any. */
  readonly port: number;
  readonly handler: GrpcHandler;
  readonly receivedMessageBytesMax: number;
  /** PEM texts; null for none. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
};

/** Connections are renewed, so that clients spread over nodes again; a call may go on for the grace. @source design.md 4. */
const connectionAgeMsMax = 300 * second;
const connectionGraceMs = 900 * second;
/** What one connection may have in flight; clients open about a hundred. */
const streamsMax = 1_000;

/** What a timer holds; a later deadline is none. */
const timerMsMax = 24 * hour;

const okStatus: GrpcStatus = { code: grpcCodes.ok, message: "", retryAfterMs: null };

/**
 * Serves gRPC by @grpc/grpc-js over the HTTP/2 of the platform. Messages pass through as the bytes that
 * they are. @throws what the bind throws.
 */
export async function listenGrpcJs(options: GrpcListenOptions): Promise<GrpcListener> {
  const { hostname, port, handler, receivedMessageBytesMax, tls } = options;
  const server = new grpc.Server({
    "grpc.max_receive_message_length": receivedMessageBytesMax,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": streamsMax,
    "grpc.max_connection_age_ms": connectionAgeMsMax,
    "grpc.max_connection_age_grace_ms": connectionGraceMs,
    "grpc.enable_channelz": 0,
  });
  for (const [path, method] of handler.methods) addMethod(server, handler, { path, method });
  const bound = await new Promise<number>((resolve, reject) => {
    const address = hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
    server.bindAsync(address, credentialsOf(tls), (error, boundPort) => {
      if (error === null) resolve(boundPort);
      else reject(error);
    });
  });
  return {
    port: bound,
    stop(isAtOnce) {
      if (isAtOnce) server.forceShutdown();
      else server.tryShutdown(() => {});
    },
  };
}

function credentialsOf(tls: GrpcListenOptions["tls"]): grpc.ServerCredentials {
  if (tls === null) return grpc.ServerCredentials.createInsecure();
  const pair = { private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) };
  return grpc.ServerCredentials.createSsl(null, [pair]);
}

type Named = { readonly path: string; readonly method: GrpcMethod };

function addMethod(server: grpc.Server, handler: GrpcHandler, { path, method }: Named): void {
  const asIs = (bytes: Buffer): Buffer => bytes;
  const definition = {
    path,
    requestStream: method.shape === "clientStream" || method.shape === "bidi",
    responseStream: method.shape === "serverStream" || method.shape === "bidi",
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  server.addService({ [path]: definition }, { [path]: implement(handler, { path, method }) });
}

type AnyCall =
  | grpc.ServerUnaryCall<Buffer, Buffer>
  | grpc.ServerWritableStream<Buffer, Buffer>
  | grpc.ServerReadableStream<Buffer, Buffer>
  | grpc.ServerDuplexStream<Buffer, Buffer>;

function implement(handler: GrpcHandler, { path, method }: Named): grpc.UntypedHandleCall {
  const served = async (
    jsCall: AnyCall,
    run: (call: Call) => Promise<void>,
  ): Promise<GrpcStatus> => {
    const call = wrapCall(jsCall);
    let end: ((status: GrpcStatus) => void) | null = null;
    let status = okStatus;
    try {
      end = handler.begin(path, call);
      await run(call);
    } catch (error) {
      status = handler.statusOf(error, path);
    }
    call.end();
    end?.(status);
    return status;
  };
  switch (method.shape) {
    case "unary":
      return async (jsCall: grpc.ServerUnaryCall<Buffer, Buffer>, done: Done) => {
        let reply: Uint8Array | null = null;
        const status = await served(jsCall, async (call) => {
          reply = await method.run(call, jsCall.request);
        });
        answer(done, status, reply);
      };
    case "clientStream":
      return async (jsCall: grpc.ServerReadableStream<Buffer, Buffer>, done: Done) => {
        let reply: Uint8Array | null = null;
        const status = await served(jsCall, async (call) => {
          reply = await method.run(call, messagesOf(jsCall, call));
        });
        answer(done, status, reply);
      };
    case "serverStream":
      return async (jsCall: grpc.ServerWritableStream<Buffer, Buffer>) => {
        const status = await served(jsCall, (call) =>
          method.run(call, jsCall.request, repliesOf(jsCall, call)),
        );
        finish(jsCall, status);
      };
    case "bidi":
      return async (jsCall: grpc.ServerDuplexStream<Buffer, Buffer>) => {
        const status = await served(jsCall, (call) =>
          method.run(call, messagesOf(jsCall, call), repliesOf(jsCall, call)),
        );
        finish(jsCall, status);
      };
  }
}

type Done = grpc.sendUnaryData<Buffer>;

function answer(done: Done, status: GrpcStatus, reply: Uint8Array | null): void {
  if (status.code === grpcCodes.ok && reply !== null) done(null, asBuffer(reply));
  else done(asServiceError(status));
}

function finish(
  jsCall: grpc.ServerWritableStream<Buffer, Buffer> | grpc.ServerDuplexStream<Buffer, Buffer>,
  status: GrpcStatus,
): void {
  if (status.code === grpcCodes.ok) jsCall.end();
  else jsCall.emit("error", asServiceError(status));
}

function asServiceError(status: GrpcStatus): grpc.ServerErrorResponse {
  const metadata = new grpc.Metadata();
  if (status.retryAfterMs !== null) {
    metadata.set("grpc-status-details-bin", Buffer.from(encodeStatus(status)));
  }
  return Object.assign(new Error(status.message), {
    code: status.code as number,
    details: status.message,
    metadata,
  });
}

type WrappedCall = Call & { end(): void };

function wrapCall(jsCall: AnyCall): WrappedCall {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  (jsCall as EventEmitter).on("cancelled", abort);
  // The library answers a call whose deadline has passed, and leaves those who wait for its client waiting.
  const leftMs = Number(jsCall.getDeadline()) - systemClock.wallMs();
  const timer = leftMs <= timerMsMax ? systemClock.after(leftMs, abort) : null;
  return {
    signal: controller.signal,
    end: () => timer?.cancel(),
    header(name) {
      const [value] = jsCall.metadata.get(name);
      return value === undefined ? null : value.toString();
    },
  };
}

function messagesOf(jsCall: Readable, call: Call): Incoming {
  // It would end our side of a call with the client's, before the answer has gone.
  const iterator = jsCall.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]();
  return {
    nextAtOnce: () => null,
    giveBack() {},
    allHasCome() {},
    setAside() {},
    async next() {
      const gone = (cause?: unknown): Fault =>
        new Fault("clientClosed", "The client ended the call", { cause });
      try {
        const { done, value } = await iterator.next();
        if (call.signal.aborted) throw gone();
        return done === true ? null : value;
      } catch (error) {
        throw error instanceof Fault ? error : gone(error);
      }
    },
  };
}

function repliesOf(
  jsCall: grpc.ServerWritableStream<Buffer, Buffer> | grpc.ServerDuplexStream<Buffer, Buffer>,
  call: Call,
): Replies {
  return {
    send(message) {
      if (call.signal.aborted)
        return Promise.reject(new Fault("clientClosed", "The client is gone"));
      // A copy: it may stand in a queue after this has resolved.
      if (jsCall.write(Buffer.from(message))) return Promise.resolve();
      return new Promise((resolve) => {
        const go = (): void => {
          call.signal.removeEventListener("abort", go);
          jsCall.removeListener("drain", go);
          resolve();
        };
        call.signal.addEventListener("abort", go);
        jsCall.once("drain", go);
      });
    },
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
