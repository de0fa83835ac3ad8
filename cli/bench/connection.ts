import type { Socket } from "bun";
import { KiB } from "../../runtime/base/units.ts";
import type { Contents } from "./contents.ts";
import type { Lane, LaneOwner, Loss, Outcome } from "./lane.ts";
import type { Operation } from "./mix.ts";
import { type RequestTemplate, writeIndex } from "./requests.ts";
import { ResponseReader } from "./response.ts";

export type ConnectionOptions = {
  readonly host: string;
  readonly port: number;
  readonly templates: Readonly<Record<Operation, RequestTemplate>>;
  readonly contents: Contents;
  readonly bodyBytes: number;
};

/**
 * Head and the beginning of a body leave in one write, as a client's libraries send them: up to here a body is copied
 * behind its head, which is cheaper than a second system call and a second packet.
 */
const firstWriteBodyBytesMax = 256 * KiB;
/** Of a body that nobody expected, for a message. */
const keptTextBytesMax = 512;

/** One connection of a load: at most one request in flight, its bytes prebuilt but for the digits of the key. */
export class LoadConnection implements Lane<Operation>, Outcome {
  operation: Operation = "get";
  index = 0;
  sentMs = 0;
  checksBody = false;
  isBusy = false;
  /** Whether any byte of the body differed so far. */
  #isDifferent = false;
  /** The beginning of the last answer's body, if its status was not 2xx. */
  text = "";
  readonly outcome: Outcome = this;
  readonly reader: ResponseReader;
  readonly #options: ConnectionOptions;
  readonly #owner: LaneOwner<Operation>;
  readonly #buffers = new Map<Operation, Buffer>();
  #socket: Socket<LoadConnection> | null = null;
  #pending: Buffer = Buffer.alloc(0);
  #pendingAt = 0;
  /** Bytes of the body that are not in `#pending` and not sent yet. */
  #bodyLeftBytes = 0;

  constructor(options: ConnectionOptions, owner: LaneOwner<Operation>) {
    this.#options = options;
    this.#owner = owner;
    this.reader = new ResponseReader((bytes, from, to, atBytes) =>
      this.#takeBody(bytes, from, to, atBytes),
    );
  }

  get isGood(): boolean {
    const { status } = this.reader;
    if (this.operation === "miss") return status === 404;
    // A server may say 409 where the key is there already: for a key that is only to be there, that is as good.
    if (this.operation === "fill" && status === 409) return true;
    return status >= 200 && status <= 299;
  }

  get status(): number {
    return this.reader.status;
  }

  get statusName(): string {
    return String(this.reader.status);
  }

  get bodyBytes(): number {
    if (this.operation === "get") return this.reader.bodyBytes;
    return this.#templateOf(this.operation).hasBody ? this.#options.bodyBytes : 0;
  }

  get isCompared(): boolean {
    return this.operation === "get" && this.checksBody;
  }

  get isDifferent(): boolean {
    if (this.operation !== "get") return false;
    return this.#isDifferent || this.reader.bodyBytes !== this.#options.bodyBytes;
  }

  /** Sends a request, over a new connection if there is none. */
  send(operation: Operation, index: number): void {
    this.operation = operation;
    this.index = index;
    this.isBusy = true;
    this.#isDifferent = false;
    this.text = "";
    const { bodyBytes } = this.#options;
    const template = this.#templateOf(operation);
    const buffer = this.#bufferOf(operation, template);
    for (let i = 0; i < template.keyPlaces.length; i++) {
      writeIndex(buffer, template.keyPlaces[i]!, index);
    }
    this.#bodyLeftBytes = 0;
    if (template.hasBody) {
      const firstBytes = buffer.length - template.head.length;
      this.#options.contents.window(index, 0, firstBytes).copy(buffer, template.head.length);
      this.#bodyLeftBytes = bodyBytes - firstBytes;
    }
    this.#pending = buffer;
    this.#pendingAt = 0;
    this.reader.begin({ isHeadRequest: operation === "head" });
    if (this.#socket === null) this.#connect();
    else this.#flush(this.#socket);
  }

  cut(loss: Loss): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.terminate();
    this.#lose(loss);
  }

  #templateOf(operation: Operation): RequestTemplate {
    return this.#options.templates[operation];
  }

  /** One for each operation, so that only digits and body change; made when first needed. */
  #bufferOf(operation: Operation, { head, hasBody }: RequestTemplate): Buffer {
    const known = this.#buffers.get(operation);
    if (known !== undefined) return known;
    const bodyBytes = hasBody ? Math.min(this.#options.bodyBytes, firstWriteBodyBytesMax) : 0;
    const buffer = Buffer.concat([head, Buffer.alloc(bodyBytes)]);
    this.#buffers.set(operation, buffer);
    return buffer;
  }

  #connect(): void {
    const { host, port } = this.#options;
    Bun.connect<LoadConnection>({ hostname: host, port, data: this, socket: handlers }).catch(
      // The handler `connectError` has heard of it already; without this the rejection would end the process.
      () => {},
    );
  }

  opened(socket: Socket<LoadConnection>): void {
    // A cut while the connection was being made.
    if (!this.isBusy || this.#socket !== null) {
      socket.terminate();
      return;
    }
    this.#socket = socket;
    this.#flush(socket);
  }

  drained(socket: Socket<LoadConnection>): void {
    if (socket === this.#socket) this.#flush(socket);
  }

  received(socket: Socket<LoadConnection>, bytes: Buffer): void {
    if (socket !== this.#socket || !this.isBusy) return;
    const { reader } = this;
    try {
      reader.take(bytes);
    } catch {
      this.cut("garbled");
      return;
    }
    if (reader.isDone) this.#finish(socket);
  }

  closed(socket: Socket<LoadConnection>): void {
    if (socket !== this.#socket) return;
    this.#socket = null;
    if (!this.isBusy) return;
    if (this.reader.end()) this.#finish(socket);
    else this.#lose("closed");
  }

  refused(): void {
    this.#lose("refused");
  }

  #finish(socket: Socket<LoadConnection>): void {
    // An answer to half of an upload: the server wants no more of it, and the next request needs a clean connection.
    const isUnsent = this.#pendingAt < this.#pending.length || this.#bodyLeftBytes > 0;
    if ((isUnsent || !this.reader.keepsAlive) && this.#socket === socket) {
      // First forgotten, then ended: `closed` is called before `terminate` returns.
      this.#socket = null;
      socket.terminate();
    }
    this.isBusy = false;
    this.#owner.answered(this);
  }

  #lose(loss: Loss): void {
    if (!this.isBusy) return;
    this.isBusy = false;
    this.#owner.lost(this, loss);
  }

  /** A write takes what fits into the socket's buffer: the rest goes when it drains. */
  #flush(socket: Socket<LoadConnection>): void {
    for (;;) {
      const leftBytes = this.#pending.length - this.#pendingAt;
      if (leftBytes > 0) {
        const sentBytes = socket.write(this.#pending, this.#pendingAt, leftBytes);
        if (sentBytes <= 0) return;
        this.#pendingAt += sentBytes;
        if (sentBytes < leftBytes) return;
      }
      if (this.#bodyLeftBytes === 0) return;
      const { contents, bodyBytes } = this.#options;
      const fromBytes = bodyBytes - this.#bodyLeftBytes;
      this.#pending = contents.window(this.index, fromBytes, this.#bodyLeftBytes);
      this.#pendingAt = 0;
      this.#bodyLeftBytes -= this.#pending.length;
    }
  }

  #takeBody(bytes: Buffer, from: number, to: number, atBytes: number): void {
    const { status } = this.reader;
    if (status < 200 || status > 299) {
      if (this.text.length < keptTextBytesMax) {
        this.text += bytes.toString("utf8", from, Math.min(to, from + keptTextBytesMax));
      }
      return;
    }
    if (!this.checksBody) return;
    const body = { index: this.index, atBytes };
    if (!this.#options.contents.matches(body, bytes, from, to)) this.#isDifferent = true;
  }
}

/** Shared by all connections: the one that is meant hangs on its socket. */
const handlers = {
  open: (socket: Socket<LoadConnection>) => socket.data.opened(socket),
  data: (socket: Socket<LoadConnection>, bytes: Buffer) => socket.data.received(socket, bytes),
  drain: (socket: Socket<LoadConnection>) => socket.data.drained(socket),
  close: (socket: Socket<LoadConnection>) => socket.data.closed(socket),
  error: (socket: Socket<LoadConnection>) => socket.data.closed(socket),
  connectError: (socket: Socket<LoadConnection>) => socket.data.refused(),
};
