import { second } from "../../runtime/base/units.ts";
import { Http2Connection } from "../../runtime/wire/http2/connection.ts";
import type { ErrorCode } from "../../runtime/wire/http2/failure.ts";
import { HpackDecoder } from "../../runtime/wire/http2/hpack-decoder.ts";
import type { Http2Handler } from "../../runtime/wire/http2/inbound.ts";
import type { Http2Socket } from "../../runtime/wire/http2/outbox.ts";
import { SendQueue, type Stream, type StreamSink } from "../../runtime/wire/http2/stream.ts";
import { goawayOf, type H2Frame, H2FrameReader, h2Hello, h2Types } from "./h2-frames.ts";
import { SimClock } from "./sim-clock.ts";

/** A socket that keeps what is written to it, as far as it is told to have room. */
export class FakeH2Socket implements Http2Socket {
  readonly frames: H2Frame[] = [];
  readonly #reader = new H2FrameReader();
  roomBytes = Number.POSITIVE_INFINITY;
  writtenBytes = 0;
  writes = 0;
  isEnded = false;
  isTerminated = false;
  isPaused = false;

  write(bytes: Uint8Array): number {
    if (this.isTerminated) return -1;
    const count = Math.min(bytes.length, this.roomBytes);
    this.roomBytes -= count;
    this.writtenBytes += count;
    this.writes += 1;
    this.frames.push(...this.#reader.push(bytes.subarray(0, count)));
    return count;
  }

  shutdown(): void {
    this.isEnded = true;
  }

  terminate(): void {
    this.isTerminated = true;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  setNoDelay(): boolean {
    return true;
  }

  ofType(type: number): H2Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** The header blocks that came on a stream, decoded. */
  heads(streamId: number): Readonly<Record<string, string>>[] {
    const decoder = new HpackDecoder(1e6);
    const heads: Readonly<Record<string, string>>[] = [];
    // Decoded in the order of the connection: blocks build on each other.
    for (const frame of this.ofType(h2Types.headers)) {
      const { fields } = decoder.decode(frame.payload);
      if (frame.streamId === streamId) heads.push(Object.fromEntries(fields));
    }
    return heads;
  }

  body(streamId: number): Buffer {
    const parts = this.ofType(h2Types.data).filter((frame) => frame.streamId === streamId);
    return Buffer.concat(parts.map((frame) => frame.payload));
  }
}

/** The engine over a socket that is none. */
export type H2Engine = {
  readonly connection: Http2Connection;
  readonly socket: FakeH2Socket;
  readonly clock: SimClock;
  readonly queue: SendQueue;
  readonly cuts: readonly ErrorCode[];
  /** Windows that are taken and not given back. */
  readonly windowBytes: () => number;
};

export type H2EngineOptions = {
  readonly windowBytes?: number;
  readonly queueBytesMax?: number;
  /** Of all that may be lent beyond the window; none unless told. */
  readonly lendBytesMax?: number;
  readonly clock?: SimClock;
};

const defaultWindowBytes = 16 * 2 ** 20;

export function makeH2Engine(handler: Http2Handler, options: H2EngineOptions = {}): H2Engine {
  const socket = new FakeH2Socket();
  const clock = options.clock ?? new SimClock();
  const cuts: ErrorCode[] = [];
  const queue = new SendQueue(options.queueBytesMax ?? defaultWindowBytes);
  let takenBytes = 0;
  const windowBytes = options.windowBytes ?? defaultWindowBytes;
  const connection = new Http2Connection(socket, {
    handler,
    clock,
    queue,
    takeWindow() {
      takenBytes += windowBytes;
      return windowBytes;
    },
    tryLendWindow(bytes) {
      if (takenBytes + bytes > windowBytes + (options.lendBytesMax ?? 0)) return false;
      takenBytes += bytes;
      return true;
    },
    giveWindow(bytes) {
      takenBytes -= bytes;
    },
    cut: (code) => cuts.push(code),
  });
  return { connection, socket, clock, queue, cuts, windowBytes: () => takenBytes };
}

/** A stream as its handler sees it, and what happened on it. */
export type SeenStream = {
  readonly stream: Stream;
  readonly events: readonly string[];
  readonly body: () => Buffer;
};

/** Takes every request and does nothing by itself but give credit. */
export function watchingHandler({ consumes = true, isAwaited = (): boolean => false } = {}): {
  handler: Http2Handler;
  seen: SeenStream[];
} {
  const seen: SeenStream[] = [];
  const handler: Http2Handler = {
    open(stream): StreamSink {
      const events: string[] = [];
      const chunks: Uint8Array[] = [];
      seen.push({ stream, events, body: () => Buffer.concat(chunks) });
      return {
        data(bytes) {
          chunks.push(bytes);
          if (consumes) stream.consume(bytes.length);
        },
        ended: () => void events.push("ended"),
        reset: () => void events.push("reset"),
        drained: () => void events.push("drained"),
        get isAwaited() {
          return isAwaited();
        },
        tooSlow: () => void events.push("slow"),
      };
    },
  };
  return { handler, seen };
}

/** An engine that watches its streams, whose client has said hello. */
export function openH2({
  consumes = true,
  windowBytes = defaultWindowBytes,
  lendBytesMax = 0,
} = {}) {
  const { handler, seen } = watchingHandler({ consumes });
  const engine = makeH2Engine(handler, { windowBytes, lendBytesMax });
  engine.connection.received(h2Hello());
  return { ...engine, seen };
}

/** Streams that were reset, and why. */
export function resets({ socket }: Pick<H2Engine, "socket">): [id: number, code: number][] {
  return socket
    .ofType(h2Types.rstStream)
    .map((frame) => [frame.streamId, frame.payload.readUInt32BE(0)]);
}

export function goaways({ socket }: Pick<H2Engine, "socket">) {
  return socket.ofType(h2Types.goaway).map(goawayOf);
}

/** Moves the time on by seconds, with the look at the connection that each of them brings. */
export function pass(engine: H2Engine, seconds: number): void {
  for (let i = 0; i < seconds; i++) {
    engine.clock.after(second, () => {});
    engine.clock.step();
    engine.connection.sweep(engine.clock.monotonicMs());
  }
}

/** By how much a window was widened. */
export function updates({ socket }: Pick<H2Engine, "socket">, streamId: number): number {
  return socket
    .ofType(h2Types.windowUpdate)
    .filter((frame) => frame.streamId === streamId)
    .reduce((sum, frame) => sum + frame.payload.readUInt32BE(0), 0);
}
