import type { Clock, Timer } from "../../base/clock.ts";
import { second } from "../../base/units.ts";
import { ConnectionLimit, shedIdle } from "../connection-limit.ts";
import { BodyMemory } from "./body-memory.ts";
import { Connection, type ConnectionHost, type HttpHandler } from "./connection.ts";
import { sweepPeriodMs } from "./limits.ts";

export type ListenerOptions = {
  readonly hostname: string;
  readonly port: number;
  readonly handler: HttpHandler;
  readonly clock: Clock;
  /** Silence between requests that ends a connection. */
  readonly idleMsMax: number;
  /** How many connections may be open, over all that share it; as many as come unless told. */
  readonly limit?: ConnectionLimit;
  /** What bodies may hold together before no more of any is read; 8 MiB unless told. */
  readonly bodyBytesMax?: number;
  /** PEM texts. Absent: plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Lets a second listener have the port too, to take over from this one. */
  readonly reusePort?: boolean;
};

export type HttpListener = {
  readonly port: number;
  /** Requests whose answer has not been sent to its end. */
  readonly pendingRequests: number;
  readonly connectionCount: number;
  /** Accepts nobody any more and ends each connection after the request it is at; `isAtOnce` cuts those too. */
  stop(isAtOnce: boolean): void;
};

/**
 * Serves HTTP/1.1 on a port, in the clear or over TLS.
 * @throws the system's error when the port cannot be bound (EADDRINUSE and others).
 */
export function listenHttp(options: ListenerOptions): HttpListener {
  const { hostname, port, clock, handler, idleMsMax, tls, reusePort = false } = options;
  const connections = new Set<Connection>();
  let pendingRequests = 0;
  let isStopping = false;
  const memory = new BodyMemory(() => {
    for (const connection of connections) connection.balance();
  }, options.bodyBytesMax);
  const host: ConnectionHost = {
    handler,
    memory,
    clock,
    idleMsMax,
    isTls: tls !== undefined,
    date: dateLine(clock),
    isStopping: () => isStopping,
    requestStarted() {
      pendingRequests += 1;
    },
    requestEnded() {
      pendingRequests -= 1;
    },
  };
  const place = {
    hostname,
    port,
    // Missing from the types of Bun 1.4.5, and obeyed all the same (a spec keeps it).
    reusePort,
    allowHalfOpen: true,
    ...(tls && { tls: { cert: tls.cert, key: tls.key } }),
  };
  const limit = options.limit ?? new ConnectionLimit(Number.POSITIVE_INFINITY);
  const leaveLimit = limit.join(() => shedIdle(connections));
  const listener = Bun.listen<Connection>({
    ...place,
    socket: socketEvents(connections, host, limit),
  });
  const sweep: Timer = clock.every(sweepPeriodMs, () => {
    const nowMs = clock.monotonicMs();
    for (const connection of connections) connection.sweep(nowMs);
    if (!isStopping || connections.size > 0) return;
    sweep.cancel();
    leaveLimit();
  });
  return {
    port: listener.port,
    get pendingRequests() {
      return pendingRequests;
    },
    get connectionCount() {
      return connections.size;
    },
    stop(isAtOnce) {
      if (!isStopping) listener.stop(false);
      isStopping = true;
      for (const connection of connections) connection.stop(isAtOnce);
    },
  };
}

type Events = Bun.SocketHandler<Connection>;

function socketEvents(
  connections: Set<Connection>,
  host: ConnectionHost,
  limit: ConnectionLimit,
): Events {
  return {
    open(socket) {
      if (!limit.enter()) {
        socket.terminate();
        return;
      }
      // A small answer must not wait for the acknowledgement of the one before.
      socket.setNoDelay(true);
      const connection = new Connection(socket, host);
      socket.data = connection;
      connections.add(connection);
    },
    // Without it Bun tells of a TLS connection only after its handshake, and nobody would end one that never does it.
    handshake: () => {},
    data: (socket, bytes) => socket.data?.received(bytes),
    drain: (socket) => socket.data?.drained(),
    end: (socket) => socket.data?.halfClosed(),
    close(socket) {
      const connection = socket.data;
      if (connection === undefined) return;
      connections.delete(connection);
      limit.leave();
      connection.closed();
    },
    // What the system says is followed by `close`, which is all that we need to know. What the other events throw
    // comes here as well: it is a defect, and must not leave a connection behind that nobody serves.
    error(socket, error) {
      if ("errno" in error) return;
      socket.terminate();
      queueMicrotask(() => {
        throw error;
      });
    },
  };
}

/** The Date header, made once a second: RFC 9110 section 6.6.1 wants it in every answer. */
function dateLine(clock: Clock): () => string {
  let line = "";
  let madeSecond = -1;
  return () => {
    const nowMs = clock.wallMs();
    const nowSecond = Math.floor(nowMs / second);
    if (nowSecond !== madeSecond) {
      madeSecond = nowSecond;
      line = `date: ${new Date(nowMs).toUTCString()}\r\n`;
    }
    return line;
  };
}
