import type { Clock, Timer } from "../../base/clock.ts";
import { ConnectionLimit, shedIdle } from "../connection-limit.ts";
import { releaseChunk } from "./chunks.ts";
import { Http2Connection, type Http2Host } from "./connection.ts";
import { ConnectionWindows } from "./connection-windows.ts";
import type { ErrorCode } from "./failure.ts";
import type { Http2Handler } from "./inbound.ts";
import { prefaceMsMax, sweepPeriodMs } from "./limits.ts";
import { SendQueue } from "./stream.ts";

export type Http2ListenOptions = {
  readonly hostname: string;
  readonly port: number;
  readonly handler: Http2Handler;
  readonly clock: Clock;
  /** PEM texts. Absent: in the clear, with prior knowledge. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Lets a second listener have the port too, to take over from this one. */
  readonly reusePort?: boolean | undefined;
  /** Memory for what clients may send before anybody asks: full windows for as many connections as it holds. */
  readonly windowBytesMax: number;
  /** Bytes of answers that may wait for their clients. */
  readonly queueBytesMax: number;
  /** A connection was cut because of its client. */
  readonly onCut: (code: ErrorCode) => void;
  /** How many connections may be open, over all that share it; as many as come unless told. */
  readonly limit?: ConnectionLimit | undefined;
};

export type Http2Listener = {
  readonly port: number;
  readonly connectionCount: number;
  readonly streamCount: number;
  /** Connections on which some of an answer has not gone out. */
  readonly sendingCount: number;
  /** Accepts nobody any more and lets each connection finish what it has; `isAtOnce` cuts that too. */
  stop(isAtOnce: boolean): void;
};

/** The form of the wire: a length and a name. A text or a list makes every handshake fail (measured on Bun 1.4.5). */
const alpn = Buffer.from("\x02h2", "latin1");

/** Serves HTTP/2 with prior knowledge on a port. @throws the system's error when the port cannot be bound. */
export function listenHttp2(options: Http2ListenOptions): Http2Listener {
  const { hostname, port, handler, clock, windowBytesMax, queueBytesMax, onCut } = options;
  const connections = new Set<Http2Connection>();
  const windows = new ConnectionWindows(windowBytesMax);
  const arrivals = new Arrivals();
  let isStopping = false;
  const host = {
    handler,
    clock,
    queue: new SendQueue(queueBytesMax),
    cut: onCut,
    takeWindow: () => windows.take(),
    giveWindow: (bytes: number) => windows.give(bytes),
    tryLendWindow: (bytes: number) => windows.tryLend(bytes),
  };
  const place = {
    hostname,
    port,
    // Missing from the types of Bun 1.4.5, and obeyed all the same.
    reusePort: options.reusePort ?? false,
    ...(options.tls === undefined ? {} : { tls: { ...options.tls, ALPNProtocols: alpn } }),
  };
  const limit = options.limit ?? new ConnectionLimit(Number.POSITIVE_INFINITY);
  const leaveLimit = limit.join(() => shedIdle(connections));
  const listener = Bun.listen<Http2Connection>({
    ...place,
    socket: handlersOf({
      host,
      connections,
      arrivals,
      limit,
      isTls: options.tls !== undefined,
      isStopping: () => isStopping,
    }),
  });
  sweepAll({ clock, connections, arrivals, isStopping: () => isStopping, leaveLimit });
  return {
    port: listener.port,
    get connectionCount() {
      return connections.size;
    },
    get streamCount() {
      let count = 0;
      for (const connection of connections) count += connection.streamCount;
      return count;
    },
    get sendingCount() {
      let count = 0;
      for (const connection of connections) if (connection.isSending) count += 1;
      return count;
    },
    stop(isAtOnce) {
      if (isAtOnce) arrivals.end();
      if (!isStopping) listener.stop(false);
      isStopping = true;
      for (const connection of connections) connection.stop(isAtOnce);
    },
  };
}

type Swept = {
  readonly clock: Clock;
  readonly connections: ReadonlySet<Http2Connection>;
  readonly arrivals: Arrivals;
  readonly isStopping: () => boolean;
  readonly leaveLimit: () => void;
};

/** Looks after all connections until the last one of a listener that has stopped is gone. */
function sweepAll({ clock, connections, arrivals, isStopping, leaveLimit }: Swept): void {
  const sweep: Timer = clock.every(sweepPeriodMs, () => {
    const nowMs = clock.monotonicMs();
    for (const connection of connections) connection.sweep(nowMs);
    arrivals.sweep(nowMs);
    if (!isStopping() || connections.size > 0 || !arrivals.isEmpty) return;
    sweep.cancel();
    leaveLimit();
  });
}

/** Bun tells of a TLS connection before its handshake only when somebody wants to hear of that. */
class Arrivals {
  readonly #sinceMs = new Map<Bun.Socket<Http2Connection>, number>();

  add(socket: Bun.Socket<Http2Connection>, nowMs: number): void {
    this.#sinceMs.set(socket, nowMs);
  }

  end(): void {
    for (const socket of this.#sinceMs.keys()) socket.terminate();
  }

  get isEmpty(): boolean {
    return this.#sinceMs.size === 0;
  }

  delete(socket: Bun.Socket<Http2Connection>): boolean {
    return this.#sinceMs.delete(socket);
  }

  /** Ends those that never shake hands. */
  sweep(nowMs: number): void {
    for (const [socket, sinceMs] of this.#sinceMs) {
      if (nowMs - sinceMs > prefaceMsMax) socket.terminate();
    }
  }
}

type Socket = Bun.Socket<Http2Connection>;
type Events = {
  readonly host: Http2Host;
  readonly connections: Set<Http2Connection>;
  readonly arrivals: Arrivals;
  readonly limit: ConnectionLimit;
  readonly isTls: boolean;
  readonly isStopping: () => boolean;
};

function handlersOf({
  host,
  connections,
  arrivals,
  limit,
  isTls,
  isStopping,
}: Events): Bun.SocketHandler<Http2Connection> {
  const begin = (socket: Socket): void => {
    socket.setNoDelay(true);
    const connection = new Http2Connection(socket, host);
    socket.data = connection;
    connections.add(connection);
    // Its handshake has outlived the listener.
    if (isStopping()) connection.stop(false);
  };
  /** Those that were closed at once, until they say so. */
  const refused = new Set<Socket>();
  return {
    open(socket) {
      if (!limit.enter()) {
        refused.add(socket);
        socket.terminate();
        return;
      }
      if (isTls) arrivals.add(socket, host.clock.monotonicMs());
      else begin(socket);
    },
    handshake(socket, isDone) {
      if (!arrivals.delete(socket)) return;
      if (isDone) begin(socket);
      else socket.terminate();
    },
    data(socket, bytes) {
      socket.data?.received(bytes);
      releaseChunk(bytes);
    },
    drain: (socket) => socket.data?.drained(),
    close(socket) {
      if (refused.delete(socket)) return;
      limit.leave();
      arrivals.delete(socket);
      const connection = socket.data;
      if (connection === undefined) return;
      connections.delete(connection);
      connection.closed();
    },
    // What the system says is followed by `close`. What the other events throw is a defect.
    error(socket, error) {
      if ("errno" in error) return;
      socket.terminate();
      queueMicrotask(() => {
        throw error;
      });
    },
  };
}
