import net from "node:net";
import { second } from "../../runtime/base/units.ts";
import {
  goawayOf,
  type H2Frame,
  H2FrameReader,
  h2Flags,
  h2Frame,
  h2Hello,
  h2Types,
} from "./h2-frames.ts";

const waitMsMax = 20 * second;

/** A client that sends whatever frames it is told to. It answers SETTINGS and PING, and nothing else by itself. */
export class H2Client {
  readonly #socket: net.Socket;
  readonly #reader = new H2FrameReader();
  readonly frames: H2Frame[] = [];
  /** Sees every frame of the server as it comes; without `keepsData` those of DATA are not kept. */
  onFrame: (frame: H2Frame) => void = () => {};
  keepsData = true;
  receivedBytes = 0;
  isClosed = false;
  #wake: () => void = () => {};

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#received(bytes));
    const end = (): void => {
      this.isClosed = true;
      this.#wake();
    };
    socket.on("end", end);
    socket.on("close", end);
    // A reset is one of the ways in which a connection ends.
    socket.on("error", end);
  }

  /** Connects, and says hello unless the settings are null. */
  static async connect(
    port: number,
    settings: Readonly<Record<number, number>> | null = {},
  ): Promise<H2Client> {
    const socket = net.connect({ host: "127.0.0.1", port });
    socket.setNoDelay(true);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    const client = new H2Client(socket);
    if (settings !== null) await client.send(h2Hello(settings));
    return client;
  }

  #received(bytes: Buffer): void {
    this.receivedBytes += bytes.length;
    for (const frame of this.#reader.push(bytes)) {
      if (this.keepsData || frame.type !== h2Types.data) this.frames.push(frame);
      const isAck = (frame.flags & h2Flags.ack) !== 0;
      if (frame.type === h2Types.settings && !isAck) {
        this.#socket.write(h2Frame(h2Types.settings, h2Flags.ack, 0));
      }
      if (frame.type === h2Types.ping && !isAck) {
        this.#socket.write(h2Frame(h2Types.ping, h2Flags.ack, 0, frame.payload));
      }
      this.onFrame(frame);
    }
    this.#wake();
  }

  /** Resolves when the system has taken the bytes, or the connection is gone. */
  send(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.isClosed || this.#socket.destroyed) resolve();
      else this.#socket.write(bytes, () => resolve());
    });
  }

  /** Resolves when it is true; fails after a while, or when the connection ends before. */
  async until(what: string, isTrue: () => boolean, withinMs: number = waitMsMax): Promise<void> {
    const deadlineMs = performance.now() + withinMs;
    while (!isTrue()) {
      const leftMs = deadlineMs - performance.now();
      if (this.isClosed) throw new Error(`The connection ended before: ${what}`);
      if (leftMs <= 0) throw new Error(`Waited ${withinMs} ms for: ${what}`);
      await this.#change(leftMs);
    }
  }

  /** Resolves when the server has closed, with the code of its last GOAWAY; null when it said none. */
  async closed(withinMs: number = waitMsMax): Promise<number | null> {
    const deadlineMs = performance.now() + withinMs;
    while (!this.isClosed) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new Error(`The server did not close within ${withinMs} ms`);
      await this.#change(leftMs);
    }
    return this.goawayCode;
  }

  get goawayCode(): number | null {
    const last = this.frames.findLast((frame) => frame.type === h2Types.goaway);
    return last === undefined ? null : (goawayOf(last)?.code ?? null);
  }

  /** Resolves when a stream has ended in whatever way. */
  ended(streamId: number): Promise<void> {
    return this.until(`the end of stream ${streamId}`, () =>
      this.frames.some((frame) => frame.streamId === streamId && endsStream(frame)),
    );
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #change(withinMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, withinMs);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }
}

function endsStream({ type, flags }: H2Frame): boolean {
  if (type === h2Types.rstStream) return true;
  const mayEnd = type === h2Types.headers || type === h2Types.data;
  return mayEnd && (flags & h2Flags.endStream) !== 0;
}

/** Calls that a node has begun and not ended, by its own words. `url`: of its HTTP port. */
export async function callsInFlight(url: string): Promise<number> {
  const status: unknown = await (await fetch(`${url}/status/rollout`)).json();
  const isKnown =
    typeof status === "object" && status !== null && "grpc_inflight_requests" in status;
  if (!isKnown) throw new Error("The status of the node does not say how many calls it serves");
  return Number(status.grpc_inflight_requests);
}
