import { describe, expect, test } from "bun:test";
import { encodeHeaders } from "../../../../../runtime/wire/http2/hpack-encoder.ts";
import {
  goaways,
  makeH2Engine,
  openH2,
  pass,
  resets,
  watchingHandler,
} from "../../../../support/h2-engine.ts";
import {
  callFields,
  h2Codes,
  h2Data,
  h2Frame,
  h2Headers,
  h2Types,
  h2Window,
} from "../../../../support/h2-frames.ts";

const answer = encodeHeaders([[":status", "200"]]);
const path = "/a/b";

describe("the end of a connection", () => {
  test("of age: told twice, calls go on, and it closes with the last of them", () => {
    const engine = openH2();
    pass(engine, 299);
    engine.connection.received(h2Headers(1, callFields(path)));
    pass(engine, 1);
    expect(goaways(engine)).toEqual([]);
    pass(engine, 1);
    expect(goaways(engine)).toEqual([{ lastId: 2 ** 31 - 1, code: 0 }]);
    // What the client sent before it heard of it is served.
    engine.connection.received(h2Headers(3, callFields(path), { isEnd: true }));
    pass(engine, 1);
    expect(goaways(engine).at(-1)).toEqual({ lastId: 3, code: 0 });
    engine.connection.received(h2Headers(5, callFields(path), { isEnd: true }));
    expect(resets(engine)).toEqual([[5, h2Codes.refusedStream]]);
    pass(engine, 100);
    expect(engine.socket.isEnded).toBe(false);
    engine.seen[1]?.stream.respond(answer, true);
    engine.connection.received(h2Data(1, Buffer.from("x"), { isEnd: true }));
    expect(engine.socket.isEnded).toBe(false);
    engine.seen[0]?.stream.respond(answer, true);
    pass(engine, 1);
    expect(engine.socket.isEnded).toBe(true);
    expect(engine.seen.map(({ events }) => events)).toEqual([["ended"], ["ended"]]);
  });

  test("of age: what is left after the grace is cut, and no stream is promised anew", () => {
    const engine = openH2();
    engine.connection.received(h2Headers(1, callFields(path)));
    pass(engine, 303);
    engine.connection.received(h2Headers(7, callFields(path)));
    pass(engine, 900);
    expect(engine.socket.isEnded).toBe(true);
    expect(goaways(engine).map((each) => each?.lastId)).toEqual([2 ** 31 - 1, 1, 1]);
    expect(engine.seen[0]?.events).toEqual(["reset"]);
    expect(engine.cuts).toEqual([]);
  });

  test("of a client that does not close its side: the socket is cut soon", () => {
    const engine = openH2();
    engine.connection.received(h2Frame(h2Types.ping, 0, 1, Buffer.alloc(8)));
    expect(engine.socket.isEnded).toBe(true);
    pass(engine, 2);
    expect(engine.socket.isTerminated).toBe(false);
    pass(engine, 1);
    expect(engine.socket.isTerminated).toBe(true);
  });

  test("of a client that says nothing: it has 10 s", () => {
    const { handler } = watchingHandler();
    const engine = makeH2Engine(handler);
    pass(engine, 10);
    expect(engine.socket.isTerminated).toBe(false);
    pass(engine, 1);
    expect(engine.socket.isTerminated).toBe(true);
  });

  test("of a client that takes no bytes: it has 120 s", async () => {
    const engine = openH2();
    engine.connection.received(h2Headers(1, callFields(path), { isEnd: true }));
    engine.socket.roomBytes = 0;
    engine.seen[0]?.stream.respond(answer, false);
    engine.seen[0]?.stream.write(Buffer.alloc(100));
    await Promise.resolve();
    pass(engine, 100);
    engine.socket.roomBytes = 3;
    engine.connection.drained();
    pass(engine, 120);
    expect(engine.socket.isTerminated).toBe(false);
    pass(engine, 2);
    expect(engine.socket.isTerminated).toBe(true);
  });

  test("of a stream whose window stays shut: it has 120 s, and the others go on", async () => {
    const engine = openH2();
    engine.connection.received(h2Headers(1, callFields(path), { isEnd: true }));
    engine.connection.received(h2Headers(3, callFields(path)));
    engine.seen[0]?.stream.respond(answer, false);
    engine.connection.received(h2Window(0, 2 ** 20));
    engine.seen[0]?.stream.write(Buffer.alloc(70_000));
    await Promise.resolve();
    pass(engine, 100);
    engine.connection.received(h2Window(1, 10));
    pass(engine, 121);
    expect(resets(engine)).toEqual([]);
    pass(engine, 1);
    expect(resets(engine)).toEqual([[1, h2Codes.cancel]]);
    expect(engine.queue.bytes).toBe(0);
    expect(engine.connection.streamCount).toBe(1);
  });

  test("gives its window back and ends its streams, once", () => {
    const engine = openH2();
    engine.connection.received(h2Headers(1, callFields(path)));
    expect(engine.windowBytes()).toBe(16 * 2 ** 20);
    engine.connection.closed();
    expect(engine.windowBytes()).toBe(0);
    expect(engine.seen[0]?.events).toEqual(["reset"]);
    engine.seen[0]?.stream.respond(answer, true);
    engine.connection.received(h2Headers(3, callFields(path)));
    expect(engine.seen).toHaveLength(1);
  });
});
