import type { Socket } from "bun";
import { systemClock } from "../../runtime/base/clock.ts";
import { KiB, second } from "../../runtime/base/units.ts";

/**
 * An HTTP/1.1 client that knows what `fetch` hides: whether the whole request had left before the connection was
 * lost. A body that never left whole must never be readable; one that did may be.
 */
export type LoadRequest = {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Path and query. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Without a Content-Length, in chunks. */
  readonly isChunked?: boolean;
  /** Sends so much of the body and closes: the rest never comes. */
  readonly cutAfterBytes?: number;
};

export type Exchange =
  | {
      readonly at: "answered";
      readonly status: number;
      readonly contentType: string;
      readonly body: Uint8Array;
    }
  /** No whole answer came. `isWholeSent`: the kernel has taken every byte of the request. */
  | {
      readonly at: "lost";
      readonly isConnected: boolean;
      readonly isWholeSent: boolean;
      readonly reason: string;
    };

/** One keep-alive connection, one request at a time; a lost one is opened again by the next request. */
export interface LoadConnection {
  exchange(request: LoadRequest): Promise<Exchange>;
  close(): void;
}

const chunkBytes = 64 * KiB;
const headBytesMax = 64 * KiB;
const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");

type Pending = {
  readonly pieces: Uint8Array[];
  readonly isCut: boolean;
  readonly method: LoadRequest["method"];
  readonly settle: (exchange: Exchange) => void;
  pieceIndex: number;
  pieceOffsetBytes: number;
  head: Uint8Array;
  answer: Answer | null;
};
type Answer = {
  status: number;
  contentType: string;
  body: Uint8Array;
  filledBytes: number;
  isLast: boolean;
};

/** `waitMsMax` is the longest wait for one answer; after it the connection counts as lost. */
export function openLoadConnection(port: number, waitMsMax = 20 * second): LoadConnection {
  return new Connection(port, waitMsMax);
}

class Connection implements LoadConnection {
  readonly #port: number;
  readonly #waitMsMax: number;
  #socket: Socket | null = null;
  #pending: Pending | null = null;

  constructor(port: number, waitMsMax: number) {
    this.#port = port;
    this.#waitMsMax = waitMsMax;
  }

  async exchange(request: LoadRequest): Promise<Exchange> {
    if (this.#socket === null) {
      const reason = await this.#connect();
      if (reason !== null) return { at: "lost", isConnected: false, isWholeSent: false, reason };
    }
    return await new Promise((resolve) => {
      const timer = systemClock.after(this.#waitMsMax, () => this.#lose("no answer in time"));
      const settle = (exchange: Exchange): void => {
        timer.cancel();
        this.#pending = null;
        resolve(exchange);
      };
      const { pieces, isCut } = encodeRequest(request);
      this.#pending = {
        pieces,
        isCut,
        method: request.method,
        settle,
        pieceIndex: 0,
        pieceOffsetBytes: 0,
        head: new Uint8Array(0),
        answer: null,
      };
      this.#send();
    });
  }

  close(): void {
    this.#lose("closed by us");
  }

  /** Null when connected, else the reason why not. */
  async #connect(): Promise<string | null> {
    try {
      this.#socket = await Bun.connect({
        hostname: "127.0.0.1",
        port: this.#port,
        socket: {
          data: (socket, chunk) => {
            if (socket === this.#socket) this.#receive(chunk);
          },
          drain: (socket) => {
            if (socket === this.#socket) this.#send();
          },
          close: (socket) => {
            if (socket === this.#socket) this.#lose("connection closed");
          },
          error: (socket, error) => {
            if (socket === this.#socket) this.#lose(error.message);
          },
        },
      });
      return null;
    } catch (error) {
      return String(error);
    }
  }

  #send(): void {
    const pending = this.#pending;
    const socket = this.#socket;
    if (pending === null || socket === null) return;
    while (pending.pieceIndex < pending.pieces.length) {
      const piece = pending.pieces[pending.pieceIndex]!;
      const left = piece.subarray(pending.pieceOffsetBytes);
      const takenBytes = socket.write(left);
      if (takenBytes < 0) {
        this.#lose("connection closed while sending");
        return;
      }
      pending.pieceOffsetBytes += takenBytes;
      if (pending.pieceOffsetBytes < piece.length) return;
      pending.pieceIndex++;
      pending.pieceOffsetBytes = 0;
    }
    // The bytes so far and then an orderly end, so that the server does read them.
    if (pending.isCut) this.#socket?.end();
  }

  #receive(chunk: Uint8Array): void {
    const fault = this.#take(chunk);
    if (fault !== null) this.#lose(fault);
  }

  /** Adds to the answer and settles it once it is whole; returns what is wrong with it, if anything. */
  #take(chunk: Uint8Array): string | null {
    const pending = this.#pending;
    if (pending === null) return "an answer without a request";
    let rest = chunk;
    if (pending.answer === null) {
      pending.head = joined(pending.head, rest);
      const parsed = parseHead(pending.head, pending.method);
      if (parsed === "more") return null;
      if (parsed === "bad") return "an answer that is not HTTP with a Content-Length";
      pending.answer = parsed.answer;
      rest = parsed.rest;
    }
    const { answer } = pending;
    const filledBytes = answer.filledBytes + rest.length;
    if (filledBytes > answer.body.length) return "an answer longer than its Content-Length";
    answer.body.set(rest, answer.filledBytes);
    answer.filledBytes = filledBytes;
    if (filledBytes < answer.body.length) return null;
    // An early answer leaves the rest of the body unsent: such a connection cannot carry another request.
    const isReusable = !answer.isLast && pending.pieceIndex === pending.pieces.length;
    if (!isReusable || pending.isCut) this.#drop();
    const { status, contentType, body } = answer;
    pending.settle({ at: "answered", status, contentType, body });
    return null;
  }

  #lose(reason: string): void {
    const pending = this.#pending;
    this.#drop();
    if (pending === null) return;
    const isWholeSent = !pending.isCut && pending.pieceIndex === pending.pieces.length;
    pending.settle({ at: "lost", isConnected: true, isWholeSent, reason });
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.terminate();
  }
}

function encodeRequest(request: LoadRequest): { pieces: Uint8Array[]; isCut: boolean } {
  const body = request.body ?? new Uint8Array(0);
  const lines = [`${request.method} ${request.target} HTTP/1.1`, "Host: 127.0.0.1"];
  for (const [name, value] of Object.entries(request.headers ?? {}))
    lines.push(`${name}: ${value}`);
  if (request.isChunked) lines.push("Transfer-Encoding: chunked");
  else if (request.body !== undefined) lines.push(`Content-Length: ${body.length}`);
  const pieces: Uint8Array[] = [encoder.encode(`${lines.join("\r\n")}\r\n\r\n`)];
  const isCut = request.cutAfterBytes !== undefined;
  const sentBytes = Math.min(body.length, request.cutAfterBytes ?? body.length);
  if (!request.isChunked) {
    if (sentBytes > 0) pieces.push(body.subarray(0, sentBytes));
    return { pieces, isCut };
  }
  for (let start = 0; start < sentBytes; start += chunkBytes) {
    const chunk = body.subarray(start, Math.min(start + chunkBytes, sentBytes));
    pieces.push(encoder.encode(`${chunk.length.toString(16)}\r\n`), chunk, encoder.encode("\r\n"));
  }
  if (!isCut) pieces.push(encoder.encode("0\r\n\r\n"));
  return { pieces, isCut };
}

type ParsedHead = "more" | "bad" | { answer: Answer; rest: Uint8Array };

function parseHead(bytes: Uint8Array, method: LoadRequest["method"]): ParsedHead {
  const endBytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf("\r\n\r\n");
  if (endBytes < 0) return bytes.length > headBytesMax ? "bad" : "more";
  const text = decoder.decode(bytes.subarray(0, endBytes));
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? "0");
  if (status === 0) return "bad";
  const rest = bytes.subarray(endBytes + 4);
  if (status < 200) return parseHead(rest, method);
  const length = header(text, "content-length");
  const isBodyless = method === "HEAD" || status === 204 || status === 304;
  if (!isBodyless && length === null) return "bad";
  const body = new Uint8Array(isBodyless ? 0 : Number(length));
  const isLast = header(text, "connection")?.toLowerCase() === "close";
  const contentType = header(text, "content-type") ?? "";
  return { answer: { status, contentType, body, filledBytes: 0, isLast }, rest };
}

function header(head: string, name: string): string | null {
  return new RegExp(`\\r\\n${name}:[ \\t]*([^\\r]*)`, "i").exec(head)?.[1]?.trim() ?? null;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
