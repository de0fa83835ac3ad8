import type { Socket } from "bun";
import { crc32 } from "../../runtime/base/digest.ts";
import { KiB } from "../../runtime/base/units.ts";

/** How often the slow ones move. */
export const tickMs = 100;
const headBytesMax = 64 * KiB;

/** An answer of which the body was read and not kept. */
export type SlowAnswer = {
  readonly status: number;
  readonly sizeBytes: number;
  readonly crc: number;
  /** The start of it, for a refusal. */
  readonly text: string;
};

/** A client that moves only when it is told to. */
export type SlowClient = {
  /** The first bytes of an answer have come (downloads), or the first of the body have gone (uploads). */
  isStarted(): boolean;
  /** All answers that were asked for, or the reason why they will not come. */
  readonly ended: Promise<readonly SlowAnswer[]>;
  isEnded(): boolean;
  move(): void;
  close(): void;
};

/** Asks for several artifacts at once on one connection, and reads what has come once a move. */
export async function slowDownload(port: number, paths: readonly string[]): Promise<SlowClient> {
  const head = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: kura.test\r\n\r\n`).join("");
  const client = new Client({ head, answers: paths.length, upload: null });
  await client.connect(port);
  return client;
}

export type SlowUploadOptions = {
  readonly port: number;
  readonly path: string;
  readonly body: Uint8Array;
  /** Milliseconds from its first byte to its last. */
  readonly overMs: number;
};

/** Sends one artifact evenly: at each move what is due by then. */
export async function slowUpload(options: SlowUploadOptions): Promise<SlowClient> {
  const { port, path, body, overMs } = options;
  const head = `PUT ${path} HTTP/1.1\r\nHost: kura.test\r\nContent-Length: ${body.length}\r\n\r\n`;
  const client = new Client({ head, answers: 1, upload: { body, overMs } });
  await client.connect(port);
  return client;
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

type Plan = {
  readonly head: string;
  /** As many are awaited. */
  readonly answers: number;
  readonly upload: { readonly body: Uint8Array; readonly overMs: number } | null;
};

class Client implements SlowClient {
  readonly ended: Promise<readonly SlowAnswer[]>;
  readonly #plan: Plan;
  readonly #answers: SlowAnswer[] = [];
  #socket: Socket | null = null;
  #sinceMs = 0;
  #sentBytes = 0;
  #head: Buffer = Buffer.alloc(0);
  #body: (Writable<SlowAnswer> & { leftBytes: number }) | null = null;
  #isStarted = false;
  #isEnded = false;
  #resolve: (answers: readonly SlowAnswer[]) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(plan: Plan) {
    this.#plan = plan;
    const { promise, resolve, reject } = Promise.withResolvers<readonly SlowAnswer[]>();
    this.ended = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    // Whoever waits for it is told; until then a failure is nobody's.
    promise.catch(() => {});
  }

  async connect(port: number): Promise<void> {
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, bytes) => this.#receive(bytes),
        close: () => this.#fail("the connection was closed"),
        error: (_socket, error) => this.#fail(error.message),
      },
    });
    const head = Buffer.from(this.#plan.head, "latin1");
    // A fresh socket has room for far more.
    if (socket.write(head) !== head.length) throw new Error("The head of a request did not leave");
    this.#socket = socket;
    this.#sinceMs = performance.now();
    this.move();
  }

  isStarted(): boolean {
    return this.#isStarted;
  }

  isEnded(): boolean {
    return this.#isEnded;
  }

  move(): void {
    if (this.#isEnded || this.#socket === null) return;
    const { upload } = this.#plan;
    if (upload === null) {
      this.#socket.resume();
      return;
    }
    const { body, overMs } = upload;
    const share = Math.min(1, (performance.now() - this.#sinceMs) / overMs);
    const dueBytes = Math.max(1, Math.floor(body.length * share));
    if (dueBytes <= this.#sentBytes) return;
    this.#sentBytes += Math.max(0, this.#socket.write(body.subarray(this.#sentBytes, dueBytes)));
    this.#isStarted = this.#sentBytes > 0;
  }

  close(): void {
    this.#socket?.terminate();
  }

  #receive(bytes: Buffer): void {
    if (this.#plan.upload === null) {
      this.#isStarted = true;
      this.#socket?.pause();
    }
    try {
      for (let rest = bytes; rest.length > 0; ) rest = this.#take(rest);
    } catch (error) {
      this.#fail(String(error));
    }
  }

  /** Returns what belongs to the next answer. */
  #take(bytes: Buffer): Buffer {
    const body = this.#body;
    if (body === null) return this.#takeHead(bytes);
    const count = Math.min(bytes.length, body.leftBytes);
    body.crc = crc32(bytes.subarray(0, count), body.crc);
    if (body.status !== 200) body.text += bytes.toString("latin1", 0, count);
    body.leftBytes -= count;
    if (body.leftBytes === 0) this.#finishAnswer(body);
    return bytes.subarray(count);
  }

  #takeHead(bytes: Buffer): Buffer {
    const text = Buffer.concat([this.#head, bytes]);
    const end = text.indexOf("\r\n\r\n");
    if (end === -1) {
      if (text.length > headBytesMax) throw new Error("the head of an answer has no end");
      this.#head = text;
      return bytes.subarray(bytes.length);
    }
    const head = text.subarray(0, end).toString("latin1");
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
    const sizeBytes = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    this.#head = Buffer.alloc(0);
    this.#body = { status, sizeBytes, leftBytes: sizeBytes, crc: 0, text: "" };
    if (sizeBytes === 0) this.#finishAnswer(this.#body);
    return text.subarray(end + 4);
  }

  #finishAnswer({ status, sizeBytes, crc, text }: SlowAnswer): void {
    this.#body = null;
    this.#answers.push({ status, sizeBytes, crc, text });
    if (this.#answers.length < this.#plan.answers) return;
    this.#isEnded = true;
    this.#resolve(this.#answers);
    this.#socket?.end();
  }

  #fail(reason: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const { length } = this.#answers;
    this.#reject(new Error(`${length} of ${this.#plan.answers} answers came: ${reason}`));
  }
}

/** Moves all clients in turn until each has ended. */
export async function moveAll(clients: readonly SlowClient[]): Promise<void> {
  const timer = setInterval(() => {
    for (const client of clients) client.move();
  }, tickMs);
  try {
    await Promise.all(clients.map(({ ended }) => ended));
  } finally {
    clearInterval(timer);
    for (const client of clients) client.close();
  }
}
