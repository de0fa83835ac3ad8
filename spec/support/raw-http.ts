import net from "node:net";
import tls from "node:tls";
import { second } from "../../runtime/base/units.ts";

/** An answer as it came over the wire. Names of headers are lower-case; several of one name are joined by commas. */
export type RawAnswer = {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
};

/** A node that answers at all answers within this; what takes longer hangs. */
const answerMsMax = 10 * second;

/**
 * One TCP connection, for requests that `fetch` would mend or refuse. Text is sent as Latin-1, one byte a character.
 */
export type RawConnection = AsyncDisposable & {
  send(data: string | Uint8Array): Promise<void>;
  /** The next answer; interim ones (1xx) come like the others. Fails when the connection ends before. */
  answer(options?: { readonly toHead?: boolean }): Promise<RawAnswer>;
  /** Resolves when the other side has closed, with what came and was not read. */
  closed(withinMs?: number): Promise<Buffer>;
  /** Stops reading, so that the other side meets a full window. */
  pause(): void;
  resume(): void;
  /** Closes our side only. */
  endWriting(): void;
  /** Closes both at once. */
  destroy(): void;
  /** Closes both at once, and tells the other side so by a reset. */
  reset(): void;
};

export type ConnectOptions = {
  /** TLS, with this authority. */
  readonly ca?: string;
};

export async function connect(port: number, { ca }: ConnectOptions = {}): Promise<RawConnection> {
  const place = { host: "127.0.0.1", port, allowHalfOpen: true };
  const socket = ca === undefined ? net.connect(place) : tls.connect({ ...place, ca });
  socket.setNoDelay(true);
  const inbox = new Inbox();
  let isEnded = false;
  let wake: () => void = () => {};
  socket.on("data", (data: Buffer) => {
    inbox.add(data);
    wake();
  });
  const end = (): void => {
    isEnded = true;
    wake();
  };
  socket.on("end", end);
  socket.on("close", end);
  // A reset is one of the ways in which a connection ends; `closed` tells it.
  socket.on("error", end);
  await new Promise<void>((resolve, reject) => {
    socket.once(ca === undefined ? "connect" : "secureConnect", resolve);
    socket.once("error", reject);
  });

  const change = async (deadlineMs: number, what: string): Promise<void> => {
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0) throw new Error(`No ${what} in time; got ${describe(inbox.bytes())}`);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, leftMs);
    wake = resolve;
    await promise;
    clearTimeout(timer);
  };

  return {
    send(data) {
      const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
      return new Promise((resolve) => {
        if (socket.destroyed) resolve();
        else socket.write(bytes, () => resolve());
      });
    },
    async answer({ toHead = false } = {}) {
      const deadlineMs = performance.now() + answerMsMax;
      for (;;) {
        const parsed = parseAnswer(inbox.bytes(), toHead);
        if (parsed !== null) {
          inbox.drop(parsed.endBytes);
          return parsed.answer;
        }
        if (isEnded)
          throw new Error(`The connection ended without an answer: ${describe(inbox.bytes())}`);
        await change(deadlineMs, "answer");
      }
    },
    async closed(withinMs = answerMsMax) {
      const deadlineMs = performance.now() + withinMs;
      while (!isEnded) await change(deadlineMs, "end of the connection");
      return inbox.bytes();
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    endWriting: () => void socket.end(),
    destroy: () => void socket.destroy(),
    reset: () => void socket.resetAndDestroy(),
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}

/** What has come and was not read; grows by doubling, so that large answers cost one copy and not thousands. */
class Inbox {
  #buffer = Buffer.alloc(4_096);
  #start = 0;
  #end = 0;

  add(data: Buffer): void {
    if (this.#end + data.length > this.#buffer.length) {
      const grown = Buffer.alloc((this.#end + data.length) * 2);
      this.#buffer.copy(grown, 0, this.#start, this.#end);
      this.#buffer = grown;
      this.#end -= this.#start;
      this.#start = 0;
    }
    data.copy(this.#buffer, this.#end);
    this.#end += data.length;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  drop(count: number): void {
    this.#start += count;
  }
}

/** One request on a connection of its own. */
export async function rawRequest(port: number, text: string | Uint8Array): Promise<RawAnswer> {
  await using connection = await connect(port);

  await connection.send(text);
  return await connection.answer();
}

/** Head of a request with a Host header. */
export function head(line: string, ...headers: readonly string[]): string {
  return `${[`${line} HTTP/1.1`, "Host: kura.test", ...headers].join("\r\n")}\r\n\r\n`;
}

function parseAnswer(
  bytes: Buffer,
  toHead: boolean,
): { answer: RawAnswer; endBytes: number } | null {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd === -1) return null;
  const [statusLine = "", ...lines] = bytes.subarray(0, headEnd).toString("latin1").split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]);
  if (!Number.isInteger(status)) throw new Error(`Not a status line: ${statusLine}`);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const known = headers.get(name);
    headers.set(name, known === undefined ? value : `${known}, ${value}`);
  }
  const hasNoBody = toHead || status < 200 || status === 204 || status === 304;
  const lengthBytes = hasNoBody ? 0 : Number(headers.get("content-length") ?? 0);
  const start = headEnd + 4;
  if (bytes.length < start + lengthBytes) return null;
  const body = Buffer.from(bytes.subarray(start, start + lengthBytes));
  return { answer: { status, headers, body }, endBytes: start + lengthBytes };
}

function describe(bytes: Buffer): string {
  return `${bytes.length} bytes, ${JSON.stringify(bytes.subarray(0, 200).toString("latin1"))}`;
}
