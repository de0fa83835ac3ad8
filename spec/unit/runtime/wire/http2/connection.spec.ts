import { describe, expect, test } from "bun:test";
import { encodeHeaders } from "../../../../../runtime/wire/http2/hpack-encoder.ts";
import type { HeaderField } from "../../../../../runtime/wire/http2/hpack-table.ts";
import {
  goaways,
  makeH2Engine,
  openH2,
  resets,
  updates,
  watchingHandler,
} from "../../../../support/h2-engine.ts";
import {
  callFields,
  h2Body,
  h2Codes,
  h2Data,
  h2Flags,
  h2Frame,
  h2Headers,
  h2Hello,
  h2Reset,
  h2Types,
  h2Window,
  h2Word,
} from "../../../../support/h2-frames.ts";

const answer = encodeHeaders([[":status", "200"]]);
const path = "/a/b";
const streamWindow = 4 * 2 ** 20;

describe("a request", () => {
  test("comes with its body and its end", () => {
    const { connection, seen } = openH2();
    connection.received(h2Headers(1, callFields(path)));
    connection.received(h2Data(1, Buffer.from("ab")));
    connection.received(h2Data(1, Buffer.from("c"), { isEnd: true }));
    expect(seen[0]?.stream.head).toMatchObject({ method: "POST", path });
    expect(seen[0]?.body().toString()).toBe("abc");
    expect(seen[0]?.events).toEqual(["ended"]);
  });

  test("may end with trailers", () => {
    const { connection, seen } = openH2();
    connection.received(h2Headers(1, callFields(path)));
    connection.received(h2Headers(1, [["x-checksum", "1"]], { isEnd: true }));
    expect(seen[0]?.events).toEqual(["ended"]);
  });

  test.each<[string, HeaderField]>([
    ["connection", ["connection", "close"]],
    ["keep-alive", ["keep-alive", "1"]],
    ["proxy-connection", ["proxy-connection", "close"]],
    ["transfer-encoding", ["transfer-encoding", "chunked"]],
    ["upgrade", ["upgrade", "h2c"]],
    ["te that is not trailers", ["te", "gzip"]],
    ["a name in capitals", ["X-Name", "1"]],
    ["a name with a space", ["x name", "1"]],
    ["a name with a colon inside", ["x:name", "1"]],
    ["an empty name", ["", "1"]],
    ["a line end in a value", ["x-name", "a\nb"]],
    ["a return in a value", ["x-name", "a\rb"]],
    ["a NUL in a value", ["x-name", "a\0b"]],
    ["a space in front of a value", ["x-name", " a"]],
    ["a tab behind a value", ["x-name", "a\t"]],
    ["a length that is no number", ["content-length", "1x"]],
    ["a negative length", ["content-length", "-1"]],
  ])("with %s is malformed, and the connection goes on", (_, field) => {
    const engine = openH2();
    engine.connection.received(h2Headers(1, callFields(path, [field])));
    engine.connection.received(h2Headers(3, callFields(path), { isEnd: true }));
    expect(resets(engine)).toEqual([[1, h2Codes.protocolError]]);
    expect(engine.seen.map(({ stream }) => stream.id)).toEqual([3]);
  });

  test.each<[string, string, Buffer]>([
    ["more bytes than its length", "2", h2Data(1, Buffer.from("abc"))],
    ["fewer bytes than its length", "4", h2Data(1, Buffer.from("abc"), { isEnd: true })],
    ["trailers before all of its length", "4", h2Headers(1, [["x", "1"]], { isEnd: true })],
  ])("with %s is broken off", (_, length, rest) => {
    const engine = openH2();
    engine.connection.received(h2Headers(1, callFields(path, [["content-length", length]])));
    engine.connection.received(rest);
    expect(resets(engine)).toEqual([[1, h2Codes.protocolError]]);
    expect(engine.seen[0]?.events).toEqual(["reset"]);
    expect(engine.connection.streamCount).toBe(0);
  });

  test("whose headers are too long is refused, and the table stays right", () => {
    const engine = openH2();
    const value = "v".repeat(2_000);
    const long = Array.from({ length: 20 }, (_, i): HeaderField => [`x-${i}`, value]);
    const block = Buffer.concat([
      encodeHeaders(callFields(path, long)),
      Buffer.from("400361626303646566", "hex"),
    ]);
    const flags = h2Flags.endStream;
    engine.connection.received(h2Frame(h2Types.headers, flags, 1, block.subarray(0, 16_000)));
    engine.connection.received(h2Frame(h2Types.continuation, 0, 1, block.subarray(16_000, 32_000)));
    engine.connection.received(
      h2Frame(h2Types.continuation, h2Flags.endHeaders, 1, block.subarray(32_000)),
    );
    const indexed = Buffer.concat([encodeHeaders(callFields(path)), Buffer.from([0xbe])]);
    engine.connection.received(h2Frame(h2Types.headers, h2Flags.endHeaders | flags, 3, indexed));
    expect(resets(engine)).toEqual([[1, h2Codes.enhanceYourCalm]]);
    expect(engine.seen[0]?.stream.head.fields).toContainEqual(["abc", "def"]);
  });
});

describe("the windows of a client", () => {
  test("come back with what is consumed", async () => {
    const engine = openH2({ consumes: false });
    engine.connection.received(h2Headers(1, callFields(path)));
    engine.connection.received(h2Body(1, Buffer.alloc(streamWindow), { isEnd: false }));
    expect(updates(engine, 1)).toBe(0);
    engine.seen[0]?.stream.consume(streamWindow);
    await Promise.resolve();
    expect(updates(engine, 1)).toBe(streamWindow);
  });

  test("count padding, and get it back at once", () => {
    const engine = openH2({ consumes: true, windowBytes: 2 ** 20 });
    engine.connection.received(h2Headers(1, callFields(path)));
    const payload = Buffer.concat([Buffer.from([255]), Buffer.alloc(1), Buffer.alloc(255)]);
    const frame = h2Frame(h2Types.data, h2Flags.padded, 1, payload);
    // Four times the window of a stream, of which one byte in 257 is body.
    const count = Math.ceil((4 * streamWindow) / payload.length);
    for (let i = 0; i < count; i++) engine.connection.received(frame);
    expect(goaways(engine)).toEqual([]);
    expect(resets(engine)).toEqual([]);
    expect(engine.seen[0]?.body().length).toBe(count);
  });

  test("that a client exceeds on a stream cost it the stream", () => {
    const engine = openH2({ consumes: false });
    engine.connection.received(h2Headers(1, callFields(path)));
    engine.connection.received(h2Body(1, Buffer.alloc(streamWindow), { isEnd: false }));
    engine.connection.received(h2Data(1, Buffer.alloc(1)));
    expect(resets(engine)).toEqual([[1, h2Codes.flowControlError]]);
  });

  test("that a client exceeds on the connection cost it the connection", () => {
    const engine = openH2({ consumes: false, windowBytes: 2 ** 20 });
    for (const id of [1, 3, 5, 7, 9]) {
      engine.connection.received(h2Headers(id, callFields(path)));
      if (id === 9) break;
      engine.connection.received(h2Body(id, Buffer.alloc(2 ** 18), { isEnd: false }));
    }
    expect(goaways(engine)).toEqual([]);
    engine.connection.received(h2Data(9, Buffer.alloc(1)));
    expect(goaways(engine)).toEqual([{ lastId: 9, code: h2Codes.flowControlError }]);
  });

  test("are given back for bytes of a stream that is gone", async () => {
    const engine = openH2({ windowBytes: 2 ** 20 });
    engine.connection.received(h2Headers(1, callFields(path)));
    engine.seen[0]?.stream.respond(answer, true);
    await Promise.resolve();
    expect(resets(engine)).toEqual([[1, h2Codes.noError]]);
    for (let i = 0; i < 4; i++) {
      engine.connection.received(h2Body(1, Buffer.alloc(2 ** 20), { isEnd: false }));
    }
    expect(goaways(engine)).toEqual([]);
    expect(updates(engine, 0)).toBeGreaterThanOrEqual(3 * 2 ** 20);
  });
});

describe("a stream that is set aside", () => {
  const quarter = 2 ** 18;

  /** Four streams, each of which has sent as much as it may: nothing is left of the window of the connection. */
  function fourFull(lendBytesMax: number) {
    const engine = openH2({ consumes: false, windowBytes: 4 * quarter, lendBytesMax });
    for (const id of [1, 3, 5, 7]) {
      engine.connection.received(h2Headers(id, callFields(path)));
      engine.connection.received(h2Body(id, Buffer.alloc(quarter), { isEnd: false }));
    }
    expect(updates(engine, 0)).toBe(4 * quarter - 65_535);
    return { engine, lent: () => updates(engine, 0) - (4 * quarter - 65_535) };
  }

  test("lends the others what it holds of the window of their connection, and what still comes", async () => {
    const { engine, lent } = fourFull(4 * quarter);
    const [first, second] = engine.seen;
    first?.stream.setAside(true);
    await Promise.resolve();
    expect(lent()).toBe(quarter);
    // It has taken some of what came, so that more comes of it.
    first?.stream.consume(quarter / 2);
    engine.connection.received(h2Body(1, Buffer.alloc(quarter / 4), { isEnd: false }));
    await Promise.resolve();
    expect(lent()).toBe(quarter + quarter / 4);
    expect(engine.windowBytes()).toBe(4 * quarter + (3 * quarter) / 4);
    first?.stream.setAside(false);
    first?.stream.consume((3 * quarter) / 4);
    expect(engine.windowBytes()).toBe(4 * quarter);
    second?.stream.consume(quarter);
    await Promise.resolve();
    // All that came is given back once: of the first stream when it was lent.
    expect(lent()).toBe(2 * quarter + quarter / 4);
  });

  test("lends nothing when there is no memory for it, and all is given back when the connection ends", async () => {
    const { engine, lent } = fourFull(quarter);
    for (const { stream } of engine.seen) stream.setAside(true);
    await Promise.resolve();
    expect(lent()).toBe(quarter);
    // It ends twice: for what the client does, and when the socket is closed.
    engine.connection.received(h2Data(0, Buffer.alloc(1)));
    expect(goaways(engine)).toHaveLength(1);
    engine.connection.closed();
    expect(engine.windowBytes()).toBe(0);
    for (const { stream } of engine.seen) stream.consume(quarter);
    expect(engine.windowBytes()).toBe(0);
  });
});

describe("a stream that is gone", () => {
  test("may get bytes that were on their way, however many went with it", () => {
    const engine = openH2();
    const ids = Array.from({ length: 900 }, (_, i) => 1 + 2 * i);
    for (const id of ids) engine.connection.received(h2Headers(id, callFields(path)));
    for (const { stream } of engine.seen) stream.respond(answer, true);
    for (const id of ids) engine.connection.received(h2Data(id, Buffer.from("late")));
    expect(goaways(engine)).toEqual([]);
    expect(resets(engine)).toEqual(ids.map((id) => [id, h2Codes.noError]));
    expect(engine.connection.streamCount).toBe(0);
  });

  test("may not get bytes after its end", () => {
    const engine = openH2();
    engine.connection.received(h2Headers(1, callFields(path), { isEnd: true }));
    engine.connection.received(h2Data(1, Buffer.from("more")));
    expect(resets(engine)).toEqual([[1, h2Codes.streamClosed]]);
    expect(engine.seen[0]?.events).toEqual(["ended", "reset"]);
  });

  test("cannot be begun again", () => {
    const engine = openH2();
    engine.connection.received(h2Headers(5, callFields(path), { isEnd: true }));
    engine.seen[0]?.stream.respond(answer, true);
    engine.connection.received(h2Headers(5, callFields(path), { isEnd: true }));
    expect(goaways(engine)).toEqual([{ lastId: 5, code: h2Codes.streamClosed }]);
  });

  test("is not written to", async () => {
    const engine = openH2();
    engine.connection.received(h2Headers(1, callFields(path), { isEnd: true }));
    engine.connection.received(h2Reset(1));
    const count = engine.socket.frames.length;
    engine.seen[0]?.stream.respond(answer, false);
    engine.seen[0]?.stream.write(Buffer.from("late"));
    engine.seen[0]?.stream.end(null);
    await Promise.resolve();
    expect(engine.socket.frames.length).toBe(count);
    expect(engine.queue.bytes).toBe(0);
  });
});

test("a client that does not read its answers to PING is not read, until it does", () => {
  const engine = openH2();
  engine.socket.roomBytes = 0;
  // Refused calls cost an answer each and leave no stream behind.
  let id = 1;
  while (!engine.socket.isPaused && id < 3_000) {
    engine.connection.received(h2Headers(id, callFields(path)));
    engine.seen.at(-1)?.stream.respond(encodeHeaders([["x-name", "v".repeat(1_000)]]), true);
    id += 2;
  }
  expect(engine.socket.isPaused).toBe(true);
  engine.socket.roomBytes = 1e9;
  engine.connection.drained();
  expect(engine.socket.isPaused).toBe(false);
});

test("an answer that waits for the socket does not keep us from reading", async () => {
  const engine = openH2();
  engine.connection.received(h2Headers(1, callFields(path)));
  engine.connection.received(Buffer.concat([h2Window(0, 2 ** 30), h2Window(1, 2 ** 30)]));
  engine.socket.roomBytes = 1_000;
  engine.seen[0]?.stream.respond(answer, false);
  engine.seen[0]?.stream.write(Buffer.alloc(2 ** 20));
  await Promise.resolve();
  engine.connection.received(h2Data(1, Buffer.from("x")));
  expect(engine.socket.isPaused).toBe(false);
});

test("a chunk of thousands of refused calls, and one that is served, is answered whole", () => {
  const frames: Buffer[] = [];
  for (let id = 1; id < 1_800; id += 2) frames.push(h2Headers(id, callFields(path)));
  frames.push(h2Headers(2_001, callFields(path), { isEnd: true }));
  const { handler } = watchingHandler();
  const big = encodeHeaders([["x-name", "v".repeat(1_000)]]);
  const answering = makeH2Engine({
    open(stream) {
      const sink = handler.open(stream);
      if (stream.id !== 2_001) {
        stream.respond(big, true);
        return sink;
      }
      stream.respond(answer, false);
      stream.write(Buffer.from("served"));
      stream.end(null);
      return sink;
    },
  });
  answering.connection.received(Buffer.concat([h2Hello(), ...frames]));
  expect(answering.socket.body(2_001).toString()).toBe("served");
  expect(answering.socket.ofType(h2Types.headers)).toHaveLength(901);
  expect(answering.cuts).toEqual([]);
});

test.each<[string, Buffer]>([
  ["PRIORITY of the wrong length", h2Frame(h2Types.priority, 0, 9, Buffer.alloc(4))],
  [
    "PRIORITY on itself",
    h2Frame(h2Types.priority, 0, 9, Buffer.concat([h2Word(9), Buffer.alloc(1)])),
  ],
])("%s on a stream that has not begun ends the connection: it cannot be reset", (_, frame) => {
  const engine = openH2();
  engine.connection.received(frame);
  expect(resets(engine)).toEqual([]);
  expect(goaways(engine)).toHaveLength(1);
});
