import { describe, expect, test } from "bun:test";
import type { Fault } from "../../../../../runtime/base/fault.ts";
import type { GrpcHandler, GrpcMethod } from "../../../../../runtime/wire/grpc/method.ts";
import { grpcOverHttp2 } from "../../../../../runtime/wire/grpc/own-server.ts";
import { type GrpcCode, GrpcFailure, grpcCodes } from "../../../../../runtime/wire/grpc/status.ts";
import { makeH2Engine, resets, updates } from "../../../../support/h2-engine.ts";
import {
  callFields,
  grpcMessage,
  h2Call,
  h2Codes,
  h2Data,
  h2Headers,
  h2Hello,
  h2Reset,
  h2Types,
  h2Window,
} from "../../../../support/h2-frames.ts";
import { SimClock, turn } from "../../../../support/sim-clock.ts";

const path = "/t.T/M";
const codes: Partial<Record<string, GrpcCode>> = {
  badRequest: grpcCodes.invalidArgument,
  overloaded: grpcCodes.resourceExhausted,
  timeout: grpcCodes.deadlineExceeded,
  clientClosed: grpcCodes.cancelled,
};

/** An engine with one method at `path`, and the codes that its calls ended with. */
function serve(method: GrpcMethod, { windowBytesMax = 1_000_000, settings = {} } = {}) {
  const clock = new SimClock();
  const ends: GrpcCode[] = [];
  const handler: GrpcHandler = {
    methods: new Map([[path, method]]),
    begin: () => (status) => void ends.push(status.code),
    statusOf(error) {
      const code =
        error instanceof GrpcFailure ? error.code : codes[(error as Partial<Fault>).code ?? ""];
      return { code: code ?? grpcCodes.internal, message: String(error), retryAfterMs: null };
    },
  };
  const limits = {
    receivedMessageBytesMax: 500_000,
    messageBytesMax: windowBytesMax,
    up: () => ({ status: 200, text: "{}" }),
  };
  const engine = makeH2Engine(grpcOverHttp2({ handler, clock, ...limits }), {
    clock,
    queueBytesMax: windowBytesMax,
  });
  engine.connection.received(h2Hello(settings));
  return { ...engine, ends };
}

/** A method that takes all messages and counts them; what its wait for the next one ended with. */
function counting() {
  const seen: { messages: number; error: unknown } = { messages: 0, error: null };
  const method: GrpcMethod = {
    shape: "clientStream",
    async run(_, incoming) {
      try {
        while ((await incoming.next()) !== null) seen.messages += 1;
      } catch (error) {
        seen.error = error;
        throw error;
      }
      return Buffer.from([seen.messages]);
    },
  };
  return { seen, method };
}

const echo: GrpcMethod = { shape: "unary", run: (_, request) => request };

function statusOn({ socket }: ReturnType<typeof serve>, streamId: number): string | undefined {
  return socket.heads(streamId).at(-1)?.["grpc-status"];
}

describe("a unary call", () => {
  test("is answered with a message and a status", async () => {
    const engine = serve(echo);
    engine.connection.received(h2Call(1, path, Buffer.from("hello")));
    await turn();
    expect(engine.socket.body(1).subarray(5).toString()).toBe("hello");
    expect(statusOn(engine, 1)).toBe("0");
    expect(engine.ends).toEqual([grpcCodes.ok]);
  });

  test.each([
    ["two messages", [grpcMessage(Buffer.from("a")), grpcMessage(Buffer.from("b"))]],
    ["no message", []],
    ["half a message", [grpcMessage(Buffer.from("abc")).subarray(0, 6)]],
  ])("with %s is refused", async (_, parts) => {
    const engine = serve(echo);
    engine.connection.received(h2Headers(1, callFields(path)));
    engine.connection.received(h2Data(1, Buffer.concat(parts), { isEnd: true }));
    await turn();
    expect(statusOn(engine, 1)).toBe(String(grpcCodes.invalidArgument));
    expect(engine.connection.streamCount).toBe(0);
  });

  test("with messages without an end is refused at the second one", async () => {
    const engine = serve(echo);
    engine.connection.received(h2Headers(1, callFields(path)));
    engine.connection.received(h2Data(1, Buffer.alloc(16_000)));
    await turn();
    expect(statusOn(engine, 1)).toBe(String(grpcCodes.invalidArgument));
    expect(resets(engine)).toEqual([[1, h2Codes.noError]]);
  });

  test("of a method with a very long name is refused in few words", async () => {
    const engine = serve(echo);
    const long = `/${"é%".repeat(5_000)}`;
    engine.connection.received(h2Call(1, Buffer.from(long).toString("latin1"), Buffer.alloc(0)));
    await turn();
    expect(statusOn(engine, 1)).toBe(String(grpcCodes.unimplemented));
    expect(engine.socket.ofType(h2Types.headers)[0]?.payload.length).toBeLessThan(8_192);
  });
});

describe("a method that waits for the next message hears of it when the call", () => {
  test.each<[string, GrpcCode, Buffer]>([
    [
      "brings one that is too large",
      grpcCodes.resourceExhausted,
      h2Data(1, Buffer.from("00ffffffff", "hex")),
    ],
    [
      "brings one that is compressed",
      grpcCodes.unimplemented,
      h2Data(1, Buffer.from("0100000000", "hex")),
    ],
    [
      "ends in the middle of one",
      grpcCodes.invalidArgument,
      h2Data(1, Buffer.from("0000", "hex"), { isEnd: true }),
    ],
  ])("%s", async (_, code, frame) => {
    const { seen, method } = counting();
    const engine = serve(method);
    engine.connection.received(h2Headers(1, callFields(path)));
    engine.connection.received(h2Data(1, grpcMessage(Buffer.from("first"))));
    await turn();
    engine.connection.received(frame);
    await turn();
    expect(seen).toMatchObject({ messages: 1, error: { code: "clientClosed" } });
    expect(engine.ends).toEqual([code]);
    expect(statusOn(engine, 1)).toBe(String(code));
  });

  test("is taken back", async () => {
    const { seen, method } = counting();
    const engine = serve(method);
    engine.connection.received(Buffer.concat([h2Headers(1, callFields(path)), h2Reset(1)]));
    await turn();
    expect(seen.error).toMatchObject({ code: "clientClosed" });
    expect(engine.ends).toEqual([grpcCodes.cancelled]);
  });

  test("runs out of time", async () => {
    const { seen, method } = counting();
    const engine = serve(method);
    engine.connection.received(h2Headers(1, callFields(path, [["grpc-timeout", "50m"]])));
    engine.clock.step();
    await turn();
    expect(seen.error).toMatchObject({ code: "timeout" });
    expect(statusOn(engine, 1)).toBe(String(grpcCodes.deadlineExceeded));
    expect(engine.connection.streamCount).toBe(0);
  });

  test("has waited longest when there are too many bytes of messages", async () => {
    const { seen, method } = counting();
    const engine = serve(method, { windowBytesMax: 100_000 });
    const half = grpcMessage(Buffer.alloc(80_000)).subarray(0, 16_000);
    const ids = [1, 3, 5, 7, 9, 11, 13];
    for (const id of ids) {
      engine.connection.received(h2Headers(id, callFields(path)));
      engine.connection.received(h2Data(id, half));
      // The first one goes on, so that the second has waited longest.
      engine.connection.received(h2Data(1, Buffer.alloc(10)));
    }
    await turn();
    expect(ids.filter((id) => statusOn(engine, id) !== undefined)).toEqual([3]);
    expect(statusOn(engine, 3)).toBe(String(grpcCodes.resourceExhausted));
    expect(seen.error).toMatchObject({ code: "clientClosed" });
  });
});

test("a message counts until its method is done with it, and half-come ones give way to it", async () => {
  const reply = Promise.withResolvers<Uint8Array>();
  const method: GrpcMethod = { shape: "unary", run: () => reply.promise };
  const engine = serve(method, { windowBytesMax: 20_000 });
  const begun = (id: number): void => {
    engine.connection.received(h2Headers(id, callFields(path)));
    engine.connection.received(h2Data(id, grpcMessage(Buffer.alloc(12_000)).subarray(0, 10_000)));
  };
  engine.connection.received(h2Call(1, path, Buffer.alloc(12_000)));
  begun(3);
  await turn();
  expect(statusOn(engine, 3)).toBe(String(grpcCodes.resourceExhausted));
  expect(statusOn(engine, 1)).toBeUndefined();
  reply.resolve(Buffer.from("done"));
  await turn();
  expect(statusOn(engine, 1)).toBe("0");
  begun(5);
  await turn();
  expect(statusOn(engine, 5)).toBeUndefined();
});

test("messages that nobody takes are let in up to a number", async () => {
  const engine = serve({ shape: "clientStream", run: () => new Promise(() => {}) });
  engine.connection.received(h2Headers(1, callFields(path)));
  const empty = Buffer.alloc(16_000);
  for (let i = 0; i < 3; i++) engine.connection.received(h2Data(1, empty));
  await turn();
  expect(statusOn(engine, 1)).toBe(String(grpcCodes.resourceExhausted));
});

test("a deadline ends a call at once whose bytes the client does not let go out", async () => {
  const method: GrpcMethod = {
    shape: "serverStream",
    run: (_, request, replies) => replies.send(request),
  };
  const engine = serve(method, { settings: { 4: 10 } });
  engine.connection.received(h2Call(1, path, Buffer.alloc(500), [["grpc-timeout", "50m"]]));
  await turn();
  engine.clock.step();
  await turn();
  expect(resets(engine)).toEqual([[1, h2Codes.cancel]]);
  expect(engine.queue.bytes).toBe(0);
  expect(engine.ends).toEqual([grpcCodes.deadlineExceeded]);
});

test("an answer that finds no room beside those that wait is refused, and taken when they are gone", async () => {
  const engine = serve(echo, { windowBytesMax: 1_000, settings: { 4: 0 } });
  for (const id of [1, 3]) engine.connection.received(h2Call(id, path, Buffer.alloc(600)));
  await turn();
  expect(statusOn(engine, 3)).toBe(String(grpcCodes.resourceExhausted));
  engine.connection.received(h2Window(1, 10_000));
  expect(statusOn(engine, 1)).toBe("0");
  engine.connection.received(
    Buffer.concat([h2Call(5, path, Buffer.alloc(600)), h2Window(5, 10_000)]),
  );
  await turn();
  expect(statusOn(engine, 5)).toBe("0");
});

test("bytes of messages that wait are given back message by message, as they are taken", async () => {
  const gate = Promise.withResolvers<void>();
  const engine = serve({
    shape: "clientStream",
    async run(_, incoming) {
      await incoming.next();
      await gate.promise;
      await incoming.next();
      return await new Promise<Uint8Array>(() => {});
    },
  });
  engine.connection.received(h2Headers(1, callFields(path)));
  // A window is given back by its sixteenths.
  const one = grpcMessage(Buffer.alloc(2 ** 18 - 5));
  const body = Buffer.concat([one, one, one, one]);
  for (let at = 0; at < body.length; at += 2 ** 14) {
    engine.connection.received(h2Data(1, body.subarray(at, at + 2 ** 14)));
  }
  await turn();
  const given = (): number => updates(engine, 1);
  const before = given();
  gate.resolve();
  await turn();
  expect(given()).toBeGreaterThan(before);
  expect(given()).toBeLessThan(3 * 2 ** 18);
});
