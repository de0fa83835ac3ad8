import { CallFlow, type ClientCall, type RequestSource } from "../../cli/bench/grpc/call.ts";
import { ClientConnection } from "../../cli/bench/grpc/client.ts";
import { framed, writeHead } from "../../cli/bench/grpc/messages.ts";
import { grpcPaths } from "../../cli/bench/grpc/operations.ts";
import type { Loss } from "../../cli/bench/lane.ts";
import { KiB, second } from "../../runtime/base/units.ts";
import type { HeaderField } from "../../runtime/wire/http2/hpack-table.ts";

/** How a call ended. */
export type CallEnd = {
  /** The status of gRPC; -1 when the connection or the stream was lost before there was one. */
  readonly code: number;
  readonly words: string;
  /** The only message of the answer, or all of a stream, one behind the other with their prefixes. */
  readonly bytes: Buffer;
};

const prefixBytes = 5;
const pieceBytes = 256 * KiB;
const callMsMax = 90 * second;

/**
 * Calls over one HTTP/2 connection that cost the caller a few microseconds each, where the library's client costs a
 * hundred: in specs whose load must not be what is measured.
 */
export class GrpcCaller {
  readonly #port: number;
  #connection: ClientConnection | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  /** A call of one message. */
  async unary(path: string, request: Uint8Array): Promise<CallEnd> {
    const end = await this.#call(path, [framed(request)]);
    return { ...end, bytes: end.bytes.subarray(Math.min(prefixBytes, end.bytes.length)) };
  }

  /** A call of one message that is answered by many. */
  stream(path: string, request: Uint8Array): Promise<CallEnd> {
    return this.#call(path, [framed(request)]);
  }

  /** Writes a blob as clients do: in pieces of 256 KiB. */
  write(resourceName: string, blob: Uint8Array): Promise<CallEnd> {
    const parts: Uint8Array[] = [];
    for (let at = 0; at === 0 || at < blob.length; at += pieceBytes) {
      const data = blob.subarray(at, at + pieceBytes);
      const isLast = at + pieceBytes >= blob.length;
      const name = at === 0 ? resourceName : "";
      parts.push(
        writeHead({ resourceName: name, offsetBytes: at, dataBytes: data.length, isLast }),
      );
      parts.push(data);
    }
    return this.#call(grpcPaths.Write, parts);
  }

  close(): void {
    this.#connection?.close();
    this.#connection = null;
  }

  #call(path: string, parts: readonly Uint8Array[]): Promise<CallEnd> {
    return new Promise((resolve) => {
      const connection = this.#open();
      const call = new Call(path, parts, (end) => {
        clearTimeout(timer);
        resolve(end);
      });
      const timer = setTimeout(() => {
        connection.cancel(call);
        call.lost("timeout");
      }, callMsMax);
      connection.begin(call);
    });
  }

  #open(): ClientConnection {
    if (this.#connection === null || this.#connection.isClosing) {
      const host = "127.0.0.1";
      const authority = `${host}:${this.#port}`;
      this.#connection = new ClientConnection({ host, port: this.#port, authority, fields: [] });
    }
    return this.#connection;
  }
}

class Parts implements RequestSource {
  readonly #parts: readonly Uint8Array[];
  #part = 0;
  #at = 0;

  constructor(parts: readonly Uint8Array[]) {
    this.#parts = parts.filter(({ length }) => length > 0);
  }

  get isDone(): boolean {
    return this.#part === this.#parts.length;
  }

  fill(into: Buffer, at: number, bytesMax: number): number {
    let count = 0;
    while (count < bytesMax && !this.isDone) {
      const part = this.#parts[this.#part]!;
      const piece = part.subarray(this.#at, this.#at + bytesMax - count);
      into.set(piece, at + count);
      count += piece.length;
      this.#at += piece.length;
      if (this.#at < part.length) continue;
      this.#part += 1;
      this.#at = 0;
    }
    return count;
  }
}

class Call implements ClientCall {
  readonly path: string;
  readonly source: RequestSource;
  readonly flow = new CallFlow();
  readonly #end: (end: CallEnd) => void;
  readonly #pieces: Buffer[] = [];
  #headers: readonly HeaderField[] = [];
  #isEnded = false;

  constructor(path: string, parts: readonly Uint8Array[], end: (end: CallEnd) => void) {
    this.path = path;
    this.source = new Parts(parts);
    this.#end = end;
  }

  data(bytes: Buffer, from: number, to: number): void {
    this.#pieces.push(Buffer.from(bytes.subarray(from, to)));
  }

  headers(fields: readonly HeaderField[]): void {
    this.#headers = fields;
  }

  ended(trailers: readonly HeaderField[] | null): void {
    const fields = trailers ?? this.#headers;
    const status = fieldOf(fields, "grpc-status") ?? fieldOf(this.#headers, "grpc-status");
    const words = fieldOf(fields, "grpc-message") ?? "";
    this.#finish({ code: Number(status ?? -1), words, bytes: Buffer.concat(this.#pieces) });
  }

  lost(loss: Loss): void {
    this.#finish({ code: -1, words: loss, bytes: Buffer.alloc(0) });
  }

  /** The first end counts: a call that is given up may still be answered. */
  #finish(end: CallEnd): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#end(end);
  }
}

function fieldOf(fields: readonly HeaderField[], name: string): string | null {
  return fields.find(([each]) => each === name)?.[1] ?? null;
}
