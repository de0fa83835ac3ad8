import type { Socket } from "bun";
import { crc32 } from "../../runtime/base/digest.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import { makeContent } from "./load-surface.ts";

/** Bodies that are longer than memory: one block over and over, each time with its number at its start. */
export const streamBlockBytes = 1 * MiB;
const headBytesMax = 64 * KiB;

export type StreamPut = {
  readonly port: number;
  readonly path: string;
  /** A multiple of `streamBlockBytes`. */
  readonly sizeBytes: number;
  /** Without a Content-Length, in chunks. */
  readonly isChunked: boolean;
};

export type StreamAnswer = {
  readonly status: number;
  readonly headers: string;
  readonly text: string;
};

export type StreamResult = {
  /** Null when the connection ended without one. */
  readonly answer: StreamAnswer | null;
  /** Of the body, the last block perhaps not whole. */
  readonly sentBytes: number;
  readonly crc: number;
};

/** Block `index` of every stream. The buffer is used again for the next one. */
class Blocks {
  readonly #block = new Uint8Array(makeContent("stream", streamBlockBytes));
  readonly #number = new DataView(this.#block.buffer);

  at(index: number): Uint8Array {
    this.#number.setUint32(0, index, true);
    return this.#block;
  }
}

/** Writes all of a long body before it reads a byte of the answer, as many clients do. */
export function streamPut(put: StreamPut): Promise<StreamResult> {
  const { promise, resolve, reject } = Promise.withResolvers<StreamResult>();
  const stream = new Stream(put, resolve);
  Bun.connect({
    hostname: "127.0.0.1",
    port: put.port,
    // The server may close its side long before we are done with ours.
    allowHalfOpen: true,
    socket: {
      open(socket) {
        socket.pause();
        stream.goOn(socket);
      },
      drain: (socket) => stream.goOn(socket),
      data: (socket, bytes) => stream.receive(socket, bytes),
      end: () => {},
      close: () => stream.end(),
      error: () => stream.end(),
      connectError: (_socket, error) => reject(error),
    },
  }).catch(reject);
  return promise;
}

class Stream {
  readonly #put: StreamPut;
  readonly #resolve: (result: StreamResult) => void;
  readonly #blocks = new Blocks();
  #unsent: Uint8Array;
  #nextBlock = 0;
  #sentBytes = 0;
  #crc = 0;
  #received = "";
  #isLastSent = false;

  constructor(put: StreamPut, resolve: (result: StreamResult) => void) {
    this.#put = put;
    this.#resolve = resolve;
    const framing = put.isChunked
      ? "Transfer-Encoding: chunked"
      : `Content-Length: ${put.sizeBytes}`;
    const head = `PUT ${put.path} HTTP/1.1\r\nHost: kura.test\r\n${framing}\r\n\r\n`;
    this.#unsent = Buffer.from(head, "latin1");
  }

  /** Writes until the socket is full or all has gone, and only then reads. */
  goOn(socket: Socket): void {
    for (;;) {
      const count = Math.max(0, socket.write(this.#unsent));
      this.#unsent = this.#unsent.subarray(count);
      if (this.#unsent.length > 0) return;
      if (this.#isLastSent) break;
      this.#unsent = this.#nextPiece();
    }
    socket.resume();
  }

  receive(socket: Socket, bytes: Buffer): void {
    if (this.#received.length < headBytesMax) this.#received += bytes.toString("latin1");
    if (this.#answer() === null) return;
    this.end();
    socket.terminate();
  }

  /** The first call counts. */
  end(): void {
    const [sentBytes, crc] = [this.#sentBytes, this.#crc];
    this.#resolve({ answer: this.#answer(), sentBytes, crc });
  }

  #nextPiece(): Uint8Array {
    const { sizeBytes, isChunked } = this.#put;
    if (this.#sentBytes === sizeBytes) {
      this.#isLastSent = true;
      return Buffer.from(isChunked ? "0\r\n\r\n" : "", "latin1");
    }
    const block = this.#blocks.at(this.#nextBlock);
    this.#nextBlock += 1;
    this.#sentBytes += block.length;
    this.#crc = crc32(block, this.#crc);
    if (!isChunked) return block;
    const line = Buffer.from(`${block.length.toString(16)}\r\n`, "latin1");
    return Buffer.concat([line, block, Buffer.from("\r\n", "latin1")]);
  }

  #answer(): StreamAnswer | null {
    const end = this.#received.indexOf("\r\n\r\n");
    if (end === -1) return null;
    const headers = this.#received.slice(0, end).toLowerCase();
    const lengthBytes = Number(/\r\ncontent-length: *(\d+)/.exec(headers)?.[1] ?? 0);
    const text = this.#received.slice(end + 4);
    if (text.length < lengthBytes) return null;
    return { status: Number(headers.slice(9, 12)), headers, text };
  }
}
