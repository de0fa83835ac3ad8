import { Fault } from "../../runtime/base/fault.ts";
import type { Random } from "../../runtime/base/random.ts";
import { seededRandom } from "../../runtime/base/random.ts";
import type { GrpcHandler } from "../../runtime/wire/grpc/method.ts";
import { grpcOverHttp2 } from "../../runtime/wire/grpc/own-server.ts";
import { GrpcFailure, grpcCodes } from "../../runtime/wire/grpc/status.ts";
import { encodeHeaders } from "../../runtime/wire/http2/hpack-encoder.ts";
import { type H2Engine, makeH2Engine } from "./h2-engine.ts";
import {
  callFields,
  grpcMessage,
  h2Data,
  h2Flags,
  h2Frame,
  h2Headers,
  h2Hello,
  h2Reset,
  h2Settings,
  h2Types,
  h2Window,
  h2Word,
} from "./h2-frames.ts";
import { SimClock } from "./sim-clock.ts";

const fuzzPaths = ["/t.T/Unary", "/t.T/Read", "/t.T/Write", "/t.T/Both", "/t.T/None"];
export const fuzzMessageBytesMax = 100_000;

/** Methods of every shape, and how many of their calls have begun and not ended. */
export function fuzzMethods(): {
  handler: GrpcHandler;
  inflight: () => number;
  running: () => number;
} {
  let inflight = 0;
  let running = 0;
  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    running += 1;
    try {
      return await work();
    } finally {
      running -= 1;
    }
  };
  const handler: GrpcHandler = {
    methods: new Map([
      ["/t.T/Unary", { shape: "unary", run: (_, request) => request }],
      [
        "/t.T/Read",
        {
          shape: "serverStream",
          run: (call, request, replies) =>
            run(async () => {
              for (let i = 0; i < 4 && !call.signal.aborted; i++) await replies.send(request);
            }),
        },
      ],
      [
        "/t.T/Write",
        {
          shape: "clientStream",
          run: (_, incoming) =>
            run(async () => {
              let bytes = 0;
              for (let one = await incoming.next(); one !== null; one = await incoming.next()) {
                bytes += one.length;
                if (bytes > 50_000) break;
              }
              return h2Word(bytes);
            }),
        },
      ],
      [
        "/t.T/Both",
        {
          shape: "bidi",
          run: (_, incoming, replies) =>
            run(async () => {
              for (let one = await incoming.next(); one !== null; one = await incoming.next()) {
                await replies.send(one);
              }
            }),
        },
      ],
    ]),
    begin(_, call) {
      if (call.header("x-refuse") !== null) throw new Fault("unavailable", "no");
      inflight += 1;
      return () => {
        inflight -= 1;
      };
    },
    statusOf(error) {
      const code = error instanceof GrpcFailure ? error.code : grpcCodes.unknown;
      const known = error instanceof GrpcFailure || error instanceof Fault;
      // What is neither is a defect of the engine.
      if (!known) throw error;
      return { code, message: String(error), retryAfterMs: null };
    },
  };
  return { handler, inflight: () => inflight, running: () => running };
}

function pick<T>(random: Random, from: readonly T[]): T {
  const one = from[random.below(from.length)];
  if (one === undefined) throw new Error("there is nothing to pick from");
  return one;
}

function someBytes(random: Random, bytesMax: number): Buffer {
  const size = random.below(pick(random, [2, 20, 200, bytesMax]));
  return Buffer.alloc(size, random.below(256));
}

/** Frames of a client that keeps to the protocol. What it sends as messages may be none. */
export function randomSession(random: Random, paths = fuzzPaths): Buffer[] {
  const frames: Buffer[] = [h2Hello(random.below(3) === 0 ? { 4: random.below(100_000) } : {})];
  const open: number[] = [];
  let nextId = 1;
  const steps = 1 + random.below(25);
  for (let step = 0; step < steps; step++) {
    const id = open.length > 0 ? pick(random, open) : 0;
    const kind = random.below(12);
    if (kind < 4 || id === 0) {
      const isEnd = random.below(5) === 0;
      frames.push(...randomRequest(random, pick(random, paths), { id: nextId, isEnd }));
      if (!isEnd) open.push(nextId);
      nextId += 2 * (1 + random.below(2));
    } else if (kind < 7) {
      const isEnd = random.below(3) === 0;
      const body =
        random.below(4) === 0 ? someBytes(random, 400) : grpcMessage(someBytes(random, 9_000));
      frames.push(h2Data(id, body.subarray(0, 16_384), { isEnd }));
      if (isEnd) open.splice(open.indexOf(id), 1);
    } else {
      const { frame, endsStream } = randomControl(random, kind, id);
      frames.push(frame);
      if (endsStream) open.splice(open.indexOf(id), 1);
    }
  }
  return frames;
}

function randomRequest(
  random: Random,
  path: string,
  { id, isEnd }: { id: number; isEnd: boolean },
): Buffer[] {
  const more: [string, string][] = [];
  if (random.below(4) === 0) more.push(["grpc-timeout", pick(random, ["1n", "5m", "1S", "x"])]);
  if (random.below(10) === 0) more.push(["x-refuse", "1"]);
  if (random.below(5) === 0) more.push([`x-${random.below(9)}`, "v".repeat(random.below(300))]);
  const fields = callFields(path, more);
  const block = Buffer.concat([
    encodeHeaders(fields),
    // Literals that the table takes, and indexes into it.
    random.below(3) === 0
      ? Buffer.from(`4001${pick(random, ["61", "62", "63"])}0178be`, "hex")
      : Buffer.alloc(0),
  ]);
  const end = isEnd ? h2Flags.endStream : 0;
  if (random.below(6) !== 0) return [h2Frame(h2Types.headers, h2Flags.endHeaders | end, id, block)];
  const at = random.below(block.length);
  return [
    h2Frame(h2Types.headers, end, id, block.subarray(0, at)),
    h2Frame(h2Types.continuation, h2Flags.endHeaders, id, block.subarray(at)),
  ];
}

function randomControl(
  random: Random,
  kind: number,
  id: number,
): { frame: Buffer; endsStream: boolean } {
  const more = (frame: Buffer) => ({ frame, endsStream: false });
  switch (kind) {
    case 7:
      return more(h2Window(random.below(2) * id, 1 + random.below(100_000)));
    case 8:
      return more(h2Frame(h2Types.ping, random.below(2), 0, Buffer.alloc(8, random.below(256))));
    case 9: {
      const other = pick(random, [1, 3, 6, 9]);
      return more(h2Settings({ 4: random.below(70_000), [other]: random.below(20_000) }));
    }
    case 10:
      return { frame: h2Reset(id), endsStream: true };
    default: {
      const padBytes = random.below(50);
      const body = grpcMessage(someBytes(random, 300));
      const payload = Buffer.concat([Buffer.from([padBytes]), body, Buffer.alloc(padBytes)]);
      if (random.below(2) === 0) return more(h2Frame(h2Types.data, h2Flags.padded, id, payload));
      return { frame: h2Headers(id, [["x-trailer", "1"]], { isEnd: true }), endsStream: true };
    }
  }
}

/** Frames that are turned round, left out, repeated, cut, or of which bytes change. */
export function mutateSession(random: Random, session: readonly Buffer[]): Buffer[] {
  const frames: Buffer[] = session.map((frame) => Buffer.from(frame));
  const changes = 1 + random.below(4);
  for (let i = 0; i < changes && frames.length > 1; i++) {
    // The first one is the preface: without it nothing else is looked at.
    const at = random.below(12) === 0 ? 0 : 1 + random.below(frames.length - 1);
    const frame = frames[at] ?? Buffer.alloc(0);
    switch (random.below(7)) {
      case 0:
        frames.splice(at, 1);
        break;
      case 1:
        frames.splice(at, 0, Buffer.from(frame));
        break;
      case 2:
        frames.splice(at, 1);
        frames.splice(1 + random.below(frames.length), 0, frame);
        break;
      case 3:
        frames[at] = frame.subarray(0, random.below(frame.length + 1));
        break;
      case 4:
        frames.splice(at, 0, randomFrame(random));
        break;
      default:
        for (let j = 0; j <= random.below(3); j++) {
          // Heads of frames more often than what is in them.
          const place = random.below(
            random.below(2) === 0 ? Math.min(12, frame.length) : frame.length,
          );
          if (frame.length > 0) frame[place] = random.below(256);
        }
    }
  }
  return frames;
}

function randomFrame(random: Random): Buffer {
  const payload = Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)));
  return h2Frame(random.below(12), random.below(256), random.below(12), payload);
}

/** Cuts a session into chunks, as a network does. */
export function chunksOf(random: Random, frames: readonly Buffer[]): Buffer[] {
  const whole = Buffer.concat(frames);
  if (random.below(2) === 0) return [whole];
  const chunks: Buffer[] = [];
  for (let at = 0; at < whole.length; ) {
    const size = 1 + random.below(pick(random, [3, 100, 5_000]));
    chunks.push(Buffer.from(whole.subarray(at, at + size)));
    at += size;
  }
  return chunks;
}

export type FuzzEnd = {
  readonly streams: number;
  readonly queuedBytes: number;
  readonly windowBytes: number;
  readonly inflight: number;
  readonly running: number;
};

const calm = 6;

/**
 * Gives a session to the engine and ends the connection. What the engine holds then should be nothing.
 * @throws whatever the engine throws.
 */
export async function runSession(
  seed: number,
  make: (random: Random) => Buffer[],
): Promise<{ end: FuzzEnd; engine: H2Engine }> {
  const random = seededRandom(seed);
  const { handler, inflight, running } = fuzzMethods();
  const clock = new SimClock();
  const engine = makeH2Engine(
    grpcOverHttp2({
      handler,
      clock,
      receivedMessageBytesMax: fuzzMessageBytesMax,
      messageBytesMax: 300_000,
      up: () => ({ status: 200, text: "{}" }),
    }),
    { windowBytes: 2 ** 20, queueBytesMax: 300_000, clock },
  );
  const { connection, socket } = engine;
  for (const chunk of chunksOf(random, make(random))) {
    if (random.below(8) === 0) socket.roomBytes = random.below(3_000);
    connection.received(chunk);
    if (random.below(3) === 0) await Promise.resolve();
    if (random.below(4) === 0) {
      socket.roomBytes = 1e9;
      connection.drained();
    }
    if (random.below(10) === 0) clock.step();
  }
  if (random.below(2) === 0) {
    socket.roomBytes = 1e9;
    connection.drained();
  }
  connection.closed();
  for (let i = 0; i < calm; i++) await Promise.resolve();
  for (let i = 0; i < 100 && running() > 0; i++) await Promise.resolve();
  const end = {
    streams: connection.streamCount,
    queuedBytes: engine.queue.bytes,
    windowBytes: engine.windowBytes(),
    inflight: inflight(),
    running: running(),
  };
  return { end, engine };
}
