import { Fault } from "../../runtime/base/fault.ts";
import { KiB } from "../../runtime/base/units.ts";

/** Servers answer with a few hundred bytes of headers; a hundred times that is no answer to us. */
const headBytesMax = 64 * KiB;
const sizeLineCharsMax = 64;

/** Takes body bytes: `bytes` from `from` to `to` are the body from `atBytes` on. */
export type BodySink = (bytes: Buffer, from: number, to: number, atBytes: number) => void;

type State =
  | "head"
  | "body"
  | "untilClose"
  | "chunkSize"
  | "chunk"
  | "chunkEnd"
  | "trailers"
  | "done";

const headEnd = Buffer.from("\r\n\r\n");
const lineFeed = 0x0a;
const upperToLower = 0x20;

/**
 * Reads answers of HTTP/1.1 as they arrive, in whatever pieces, and knows of them only what a load needs: status,
 * where the body is and where it ends, whether the connection stays. Nothing is copied or kept but a torn head.
 */
export class ResponseReader {
  status = 0;
  bodyBytes = 0;
  /** False when the server will close the connection after this answer. */
  keepsAlive = true;
  readonly #sink: BodySink;
  #state: State = "done";
  #isHeadRequest = false;
  #leftBytes = 0;
  /** The beginning of a head or of a line that is not whole yet. */
  #torn: Buffer | null = null;

  constructor(sink: BodySink) {
    this.#sink = sink;
  }

  get isDone(): boolean {
    return this.#state === "done";
  }

  /** Prepares for the answer to one request. */
  begin(options: { isHeadRequest: boolean }): void {
    this.status = 0;
    this.bodyBytes = 0;
    this.keepsAlive = true;
    this.#isHeadRequest = options.isHeadRequest;
    this.#state = "head";
    this.#torn = null;
  }

  /**
   * Takes the next bytes; after the end of the answer there may be none.
   * @throws Fault "badRequest" when this is no HTTP/1.1, or more than one answer.
   */
  take(received: Buffer): void {
    let bytes = received;
    if (this.#torn !== null) {
      bytes = Buffer.concat([this.#torn, received]);
      this.#torn = null;
    }
    let at = 0;
    while (at < bytes.length) at = this.#step(bytes, at);
  }

  /** The server has closed the connection; true when that was the proper end of the answer. */
  end(): boolean {
    if (this.#state !== "untilClose") return false;
    this.#state = "done";
    return true;
  }

  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case "body":
      case "chunk":
      case "untilClose":
        return this.#takeBody(bytes, at);
      case "head":
        return this.#takeHead(bytes, at);
      case "chunkSize":
      case "chunkEnd":
      case "trailers":
        return this.#takeLine(bytes, at);
      case "done":
        throw notHttp(`${bytes.length - at} bytes came after the end of the answer`);
    }
  }

  #takeBody(bytes: Buffer, at: number): number {
    const isOpen = this.#state === "untilClose";
    const to = isOpen ? bytes.length : Math.min(bytes.length, at + this.#leftBytes);
    this.#sink(bytes, at, to, this.bodyBytes);
    this.bodyBytes += to - at;
    if (isOpen) return to;
    this.#leftBytes -= to - at;
    if (this.#leftBytes === 0) this.#state = this.#state === "body" ? "done" : "chunkEnd";
    return to;
  }

  #takeHead(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(headEnd, at);
    if (end === -1 || end - at > headBytesMax) {
      if (bytes.length - at > headBytesMax) throw notHttp(`its head exceeds ${headBytesMax} bytes`);
      return this.#keep(bytes, at);
    }
    this.#readHead(bytes, at, end);
    return end + headEnd.length;
  }

  /** Status line and the three headers that say where the answer ends; all others are skipped. */
  #readHead(bytes: Buffer, at: number, end: number): void {
    // "HTTP/1.1 200 OK"
    const status = Number(bytes.toString("latin1", at + 9, at + 12));
    if (bytes[at] !== 0x48 || bytes[at + 8] !== 0x20 || !(status >= 100)) {
      throw notHttp(`it begins with ${JSON.stringify(bytes.toString("latin1", at, at + 16))}`);
    }
    // An announcement: the answer itself follows.
    if (status < 200) return;
    this.status = status;
    let lengthBytes = -1;
    let isChunked = false;
    let line = bytes.indexOf(lineFeed, at) + 1;
    while (line > 0 && line < end) {
      const next = bytes.indexOf(lineFeed, line);
      const lineEnd = next === -1 || next > end ? end : next;
      const first = bytes[line]! | upperToLower;
      // "content-length", "connection", "transfer-encoding": nothing else needs a text.
      if (first === 0x63 || first === 0x74) {
        const text = bytes.toString("latin1", line, lineEnd).trimEnd().toLowerCase();
        if (text.startsWith("content-length:")) lengthBytes = Number(text.slice(15));
        else if (text.startsWith("transfer-encoding:")) isChunked = text.endsWith("chunked");
        else if (text.startsWith("connection:")) this.keepsAlive = !text.endsWith("close");
      }
      line = lineEnd + 1;
    }
    this.#beginBody(lengthBytes, isChunked);
  }

  #beginBody(lengthBytes: number, isChunked: boolean): void {
    const hasNone = this.#isHeadRequest || this.status === 204 || this.status === 304;
    if (hasNone || (!isChunked && lengthBytes === 0)) {
      this.#state = "done";
    } else if (isChunked) {
      this.#state = "chunkSize";
    } else if (lengthBytes === -1) {
      this.#state = "untilClose";
      this.keepsAlive = false;
    } else if (Number.isSafeInteger(lengthBytes) && lengthBytes > 0) {
      this.#state = "body";
      this.#leftBytes = lengthBytes;
    } else {
      throw notHttp("its content-length is no number");
    }
  }

  #takeLine(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(lineFeed, at);
    const lineBytes = (end === -1 ? bytes.length : end) - at;
    const isTooLong = lineBytes > (this.#state === "trailers" ? headBytesMax : sizeLineCharsMax);
    if (isTooLong) throw notHttp("a line of its chunked body has no end");
    if (end === -1) return this.#keep(bytes, at);
    const line = bytes.toString("latin1", at, end).trim();
    if (this.#state === "trailers") {
      if (line === "") this.#state = "done";
    } else if (this.#state === "chunkEnd") {
      if (line !== "") throw notHttp("a chunk does not end where it should");
      this.#state = "chunkSize";
    } else {
      this.#beginChunk(line);
    }
    return end + 1;
  }

  #beginChunk(line: string): void {
    const size = /^([0-9a-f]{1,12})(?:[ \t]*;.*)?$/i.exec(line)?.[1];
    if (size === undefined) throw notHttp(`${JSON.stringify(line)} is no size of a chunk`);
    this.#leftBytes = Number.parseInt(size, 16);
    this.#state = this.#leftBytes === 0 ? "trailers" : "chunk";
  }

  #keep(bytes: Buffer, at: number): number {
    // The socket's buffer is not ours after the call: what we need of it is copied.
    this.#torn = Buffer.from(bytes.subarray(at));
    return bytes.length;
  }
}

function notHttp(why: string): Fault {
  return new Fault("badRequest", `The answer is not HTTP/1.1 as we understand it: ${why}`);
}
