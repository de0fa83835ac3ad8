import net from "node:net";

/** What went one way, on all connections together. */
export type Traffic = {
  readonly bytes: number;
  /** How often a text or a run of bytes went by in clear. Only those that the tap was told to look for. */
  count(sought: string | Uint8Array): number;
};

/** Stands before the gRPC port of a node. Being TCP, it leaves the client's HTTP/2 to the node's engine. */
export type WireTap = AsyncDisposable & {
  /** `grpc://` and the address, without a slash at the end. */
  readonly url: string;
  readonly toNode: Traffic;
  readonly fromNode: Traffic;
  /** The most calls that were under way at one time. */
  readonly callsAtOnceMax: number;
  /** Resolves when `act` has been done. */
  readonly acted: Promise<void>;
};

/** Done once, when so many bytes have gone one way; what would make it more is held meanwhile. */
export type ActAfter = {
  readonly way: "toNode" | "fromNode";
  readonly bytes: number;
  readonly act: () => Promise<void>;
};

/**
 * Passes the connections of a client on to a port of the loopback. A node that is gone is gone to the client in the same
 * way: open connections end, new ones are refused.
 */
export async function startWireTap(options: {
  port: number;
  seek?: readonly (string | Uint8Array)[];
  actAfter?: ActAfter;
  /** The second call and those after it are held until so many are under way, and go on together. */
  gather?: number;
}): Promise<WireTap> {
  const seek = (options.seek ?? []).map((sought) => Buffer.from(sought));
  const ways = { toNode: new Way(seek), fromNode: new Way(seek) };
  const calls = new CallCount();
  const plan = new Plan(ways, options.actAfter);
  const gathering = new Gathering(calls, options.gather ?? 0);
  const sockets = new Set<net.Socket>();
  const tap = net.createServer(halfOpen, (client) => {
    const node = net.connect({ port: options.port, host: "127.0.0.1", ...halfOpen });
    // What is refused behind the tap is refused at the tap from now on.
    node.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") tap.close();
    });
    const connection = calls.connection();
    client.on("close", connection.ended);
    const sent = new FrameReader(prefaceBytes, connection.sent);
    const look = ways.toNode.connection();
    passOn(client, node, (piece) => {
      look(piece);
      sent.push(piece);
      return plan.hold("toNode") ?? gathering.hold(connection.open.size);
    });
    const answered = new FrameReader(0, connection.answered);
    const lookBack = ways.fromNode.connection();
    passOn(node, client, (piece) => {
      lookBack(piece);
      answered.push(piece);
      return plan.hold("fromNode");
    });
    for (const socket of [client, node]) {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    }
  });
  await new Promise<void>((listening) => {
    tap.listen(0, "127.0.0.1", listening);
  });
  const { port } = tap.address() as net.AddressInfo;
  return {
    url: `grpc://127.0.0.1:${port}`,
    ...ways,
    get callsAtOnceMax() {
      return calls.atOnceMax;
    },
    acted: plan.acted,
    async [Symbol.asyncDispose]() {
      tap.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A node that hangs up closes its own side and reads on for a while: the tap must do the same to the client. */
const halfOpen = { allowHalfOpen: true } as const;

/**
 * Passes on bytes, the end and the breaking off. `take` may give a promise, for which the piece and all after it wait:
 * they are taken meanwhile, and are no more than HTTP/2 lets a side send without an answer.
 */
function passOn(
  from: net.Socket,
  to: net.Socket,
  take: (piece: Buffer) => Promise<void> | null,
): void {
  const waiting: Buffer[] = [];
  from.on("data", (piece: Buffer) => {
    const wait = take(piece);
    if (waiting.length > 0) {
      waiting.push(piece);
    } else if (wait !== null) {
      waiting.push(piece);
      const flush = (): void => void to.write(Buffer.concat(waiting.splice(0)));
      wait.then(flush, () => from.destroy());
    } else if (!to.write(piece)) {
      from.pause();
      to.once("drain", () => from.resume());
    }
  });
  from.on("end", () => to.end());
  from.on("error", () => to.destroy());
}

/** What is to be done once in the middle of the traffic. */
class Plan {
  readonly #ways: Readonly<Record<ActAfter["way"], Traffic>>;
  readonly #done = Promise.withResolvers<void>();
  #next: ActAfter | null;

  constructor(ways: Readonly<Record<ActAfter["way"], Traffic>>, actAfter: ActAfter | undefined) {
    this.#ways = ways;
    this.#next = actAfter ?? null;
    // Without a plan, or before anyone asks, a rejection is nobody's.
    this.#done.promise.catch(() => {});
  }

  get acted(): Promise<void> {
    return this.#done.promise;
  }

  hold(way: ActAfter["way"]): Promise<void> | null {
    const next = this.#next;
    if (next === null || next.way !== way || this.#ways[way].bytes < next.bytes) return null;
    this.#next = null;
    next.act().then(this.#done.resolve, this.#done.reject);
    return this.acted;
  }
}

/** Lets the calls of a client meet the node at once, however slowly the client makes them. */
class Gathering {
  readonly #calls: CallCount;
  readonly #wanted: number;
  readonly #complete = Promise.withResolvers<void>();
  #isComplete = false;

  constructor(calls: CallCount, wanted: number) {
    this.#calls = calls;
    this.#wanted = wanted;
  }

  /** A connection without calls is passed on: a client makes none before the node's settings are there. */
  hold(openOnConnection: number): Promise<void> | null {
    if (this.#calls.atOnceMax >= this.#wanted && !this.#isComplete) {
      this.#isComplete = true;
      this.#complete.resolve();
    }
    // The first call asks for the capabilities, and nothing else is asked before its answer.
    const mayPass = this.#isComplete || this.#calls.total <= 1 || openOnConnection === 0;
    return mayPass ? null : this.#complete.promise;
  }
}

class Way implements Traffic {
  readonly #counts: ReadonlyMap<string, { sought: Buffer; times: number }>;
  bytes = 0;

  constructor(seek: readonly Buffer[]) {
    this.#counts = new Map(seek.map((sought) => [sought.toString("hex"), { sought, times: 0 }]));
  }

  count(sought: string | Uint8Array): number {
    const count = this.#counts.get(Buffer.from(sought).toString("hex"));
    if (count === undefined) throw new Error(`The tap was not told to look for ${sought}`);
    return count.times;
  }

  /** Takes the pieces of one connection; what is sought may lie across two of them. */
  connection(): (piece: Buffer) => void {
    const tails = new Map<string, Buffer>();
    return (piece) => {
      this.bytes += piece.length;
      for (const [name, count] of this.#counts) {
        const bytes = Buffer.concat([tails.get(name) ?? Buffer.alloc(0), piece]);
        const { sought } = count;
        for (let at = bytes.indexOf(sought); at >= 0; at = bytes.indexOf(sought, at + 1))
          count.times += 1;
        tails.set(name, bytes.subarray(Math.max(0, bytes.length - sought.length + 1)));
      }
    };
  }
}

/** @source RFC 9113, sections 3.4, 4.1, 6.1, 6.2, 6.4. */
const prefaceBytes = 24;
const headBytes = 9;
const frameTypes = { data: 0, headers: 1, resetStream: 3 } as const;
const endStreamFlag = 1;

type Frame = { readonly type: number; readonly flags: number; readonly stream: number };

/** Streams from the client's first frame to the node's last one. */
class CallCount {
  #open = 0;
  total = 0;
  atOnceMax = 0;

  connection(): {
    readonly open: ReadonlySet<number>;
    readonly sent: (frame: Frame) => void;
    readonly answered: (frame: Frame) => void;
    readonly ended: () => void;
  } {
    const open = new Set<number>();
    const close = (stream: number): void => {
      if (open.delete(stream)) this.#open -= 1;
    };
    return {
      open,
      sent: ({ type, stream }) => {
        if (type === frameTypes.resetStream) close(stream);
        if (type !== frameTypes.headers || open.has(stream)) return;
        open.add(stream);
        this.#open += 1;
        this.total += 1;
        this.atOnceMax = Math.max(this.atOnceMax, this.#open);
      },
      answered: ({ type, flags, stream }) => {
        const mayEnd = type === frameTypes.data || type === frameTypes.headers;
        if (type === frameTypes.resetStream || (mayEnd && (flags & endStreamFlag) !== 0))
          close(stream);
      },
      ended: () => {
        for (const stream of open) close(stream);
      },
    };
  }
}

/** Heads of the HTTP/2 frames of one way of a connection. */
class FrameReader {
  readonly #on: (frame: Frame) => void;
  readonly #head = Buffer.alloc(headBytes);
  #headFilled = 0;
  #skip: number;

  /** `skipBytes` stand before the first frame. */
  constructor(skipBytes: number, on: (frame: Frame) => void) {
    this.#skip = skipBytes;
    this.#on = on;
  }

  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      const skipped = Math.min(this.#skip, bytes.length - at);
      this.#skip -= skipped;
      at += skipped;
      const copied = bytes.copy(this.#head, this.#headFilled, at);
      this.#headFilled += copied;
      at += copied;
      if (this.#headFilled < headBytes) return;
      this.#headFilled = 0;
      this.#skip = this.#head.readUIntBE(0, 3);
      this.#on({
        type: this.#head.readUInt8(3),
        flags: this.#head.readUInt8(4),
        stream: this.#head.readUInt32BE(5) & 0x7fffffff,
      });
    }
  }
}
