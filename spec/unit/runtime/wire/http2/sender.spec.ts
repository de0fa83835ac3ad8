import { expect, test } from "bun:test";
import { seededRandom } from "../../../../../runtime/base/random.ts";
import { encodeHeaders } from "../../../../../runtime/wire/http2/hpack-encoder.ts";
import { makeH2Engine, watchingHandler } from "../../../../support/h2-engine.ts";
import {
  callFields,
  h2Codes,
  h2Flags,
  h2Headers,
  h2Hello,
  h2Reset,
  h2Settings,
  h2Types,
  h2Window,
} from "../../../../support/h2-frames.ts";

const initialWindow = 4;
const answer = encodeHeaders([[":status", "200"]]);
const trailers = encodeHeaders([["grpc-status", "0"]]);
const flush = (): Promise<void> => new Promise((resolve) => queueMicrotask(resolve));

/** An engine with requests on the streams 1, 3, 5 and so on that wait for their answers. */
function withRequests(count: number, settings: Readonly<Record<number, number>> = {}) {
  const { handler, seen } = watchingHandler();
  const engine = makeH2Engine(handler);
  engine.connection.received(h2Hello(settings));
  for (let i = 0; i < count; i++) {
    engine.connection.received(h2Headers(1 + 2 * i, callFields("/a/b"), { isEnd: true }));
  }
  return { ...engine, seen };
}

test("an answer goes out within the window of its stream, its trailers last", async () => {
  const { connection, socket, seen } = withRequests(1, { [initialWindow]: 10 });
  const [one] = seen;
  one?.stream.respond(answer, false);
  one?.stream.write(Buffer.from("0123456789abcde"));
  one?.stream.end(trailers);
  await flush();
  expect(socket.body(1).toString()).toBe("0123456789");
  expect(socket.heads(1)).toEqual([{ ":status": "200" }]);

  connection.received(h2Window(1, 3));
  expect(socket.body(1).toString()).toBe("0123456789abc");
  connection.received(h2Window(1, 2));
  expect(socket.body(1).toString()).toBe("0123456789abcde");
  expect(socket.heads(1)).toEqual([{ ":status": "200" }, { "grpc-status": "0" }]);
  const last = socket.frames.at(-1);
  expect(last).toMatchObject({
    type: h2Types.headers,
    flags: h2Flags.endStream | h2Flags.endHeaders,
  });
  expect(connection.streamCount).toBe(0);
});

test("trailers need no window", async () => {
  const { socket, seen, connection } = withRequests(1, { [initialWindow]: 0 });
  seen[0]?.stream.respond(answer, false);
  seen[0]?.stream.end(trailers);
  await flush();
  expect(socket.heads(1)).toHaveLength(2);
  expect(connection.streamCount).toBe(0);
});

test("a window that the client makes negative holds everything back until it is positive again", async () => {
  const { connection, socket, seen } = withRequests(1, { [initialWindow]: 10 });
  seen[0]?.stream.respond(answer, false);
  seen[0]?.stream.write(Buffer.alloc(30));
  await flush();
  connection.received(h2Settings({ [initialWindow]: 2 }));
  connection.received(h2Window(1, 8));
  expect(socket.body(1).length).toBe(10);
  connection.received(h2Window(1, 1));
  expect(socket.body(1).length).toBe(11);
  connection.received(h2Settings({ [initialWindow]: 100 }));
  expect(socket.body(1).length).toBe(30);
});

test("streams take turns, and one whose window is shut holds up nobody", async () => {
  const { connection, socket, seen } = withRequests(3, { [initialWindow]: 40_000 });
  connection.received(h2Window(0, 1_000_000));
  for (const { stream } of seen) {
    stream.respond(answer, false);
    stream.write(Buffer.alloc(50_000, stream.id));
  }
  await flush();
  const order = socket.ofType(h2Types.data).map((frame) => frame.streamId);
  expect(order.slice(0, 6)).toEqual([1, 3, 5, 1, 3, 5]);
  connection.received(h2Window(3, 10_000));
  expect([1, 3, 5].map((id) => socket.body(id).length)).toEqual([40_000, 50_000, 40_000]);
});

test("the window of the connection bounds all streams together", async () => {
  const { connection, socket, seen } = withRequests(2, { [initialWindow]: 1_000_000 });
  for (const { stream } of seen) {
    stream.respond(answer, false);
    stream.write(Buffer.alloc(100_000, stream.id));
    stream.end(trailers);
  }
  await flush();
  const sent = (): number => socket.body(1).length + socket.body(3).length;
  expect(sent()).toBe(65_535);
  connection.received(h2Window(0, 5));
  expect(sent()).toBe(65_540);
  connection.received(h2Window(0, 1_000_000));
  expect(sent()).toBe(200_000);
  expect(connection.streamCount).toBe(0);
});

test("no window is ever exceeded, whatever is written and granted in whatever order", async () => {
  const random = seededRandom(17);
  for (let round = 0; round < 200; round++) {
    const first = random.below(50_000);
    const { connection, socket, seen } = withRequests(3, { [initialWindow]: first });
    const granted = { connection: 65_535, 1: first, 3: first, 5: first };
    let initial = first;
    const written = { 1: 0, 3: 0, 5: 0 };
    const sent = { 1: 0, 3: 0, 5: 0 };
    for (const { stream } of seen) stream.respond(answer, false);
    for (let step = 0; step < 30; step++) {
      const id = ([1, 3, 5] as const)[random.below(3)] ?? 1;
      const bytes = 1 + random.below(40_000);
      const kind = random.below(5);
      if (kind < 2) {
        seen[(id - 1) / 2]?.stream.write(Buffer.alloc(bytes));
        written[id] += bytes;
        await flush();
      } else if (kind === 2) {
        granted[id] += bytes;
        connection.received(h2Window(id, bytes));
      } else if (kind === 3) {
        granted.connection += bytes;
        connection.received(h2Window(0, bytes));
      } else {
        const next = random.below(50_000);
        for (const each of [1, 3, 5] as const) granted[each] += next - initial;
        initial = next;
        connection.received(h2Settings({ [initialWindow]: next }));
      }
      let total = 0;
      for (const each of [1, 3, 5] as const) {
        const bytes = socket.body(each).length;
        if (bytes > sent[each]) expect(bytes).toBeLessThanOrEqual(granted[each]);
        sent[each] = bytes;
        total += bytes;
      }
      expect(total).toBeLessThanOrEqual(granted.connection);
    }
    // What was granted last bounds what may go now; what went before a window shrank stays gone.
    connection.received(h2Settings({ [initialWindow]: 2_000_000 }));
    connection.received(h2Window(0, 10_000_000));
    for (const each of [1, 3, 5] as const) expect(socket.body(each).length).toBe(written[each]);
  }
});

test.each([
  ["of a stream", 1, h2Types.rstStream],
  ["of the connection", 0, h2Types.goaway],
])("a window %s above 2^31-1 is an error of flow control", (_, streamId, type) => {
  const { connection, socket } = withRequests(1);
  connection.received(h2Window(streamId, 2 ** 31 - 1));
  const [frame] = socket.ofType(type);
  expect(frame?.payload.readUInt32BE(type === h2Types.goaway ? 4 : 0)).toBe(
    h2Codes.flowControlError,
  );
});

test("an answer that the client takes back leaves nothing behind", async () => {
  const { connection, socket, seen, queue } = withRequests(2, { [initialWindow]: 5 });
  for (const { stream } of seen) {
    stream.respond(answer, false);
    stream.write(Buffer.alloc(1_000));
    stream.end(trailers);
  }
  await flush();
  expect(queue.bytes).toBe(2_000);
  connection.received(h2Reset(1));
  expect(seen[0]?.events).toEqual(["ended", "reset"]);
  expect(queue.bytes).toBe(1_000);
  connection.received(h2Window(1, 1_000));
  seen[0]?.stream.write(Buffer.alloc(10));
  await flush();
  expect(socket.body(1).length).toBe(5);
  connection.received(h2Window(3, 1_000));
  expect(queue.bytes).toBe(0);
  expect(connection.streamCount).toBe(0);
});

test("a socket that is full is given nothing until it drains, and then everything in order", async () => {
  const { connection, socket, seen } = withRequests(1, { [initialWindow]: 1_000_000 });
  connection.received(h2Window(0, 1_000_000));
  socket.roomBytes = 1_000;
  const body = Buffer.from(Array.from({ length: 700_000 }, (_, i) => i % 251));
  seen[0]?.stream.respond(answer, false);
  seen[0]?.stream.write(body);
  seen[0]?.stream.end(trailers);
  await flush();
  const { writes } = socket;
  connection.received(h2Window(1, 1));
  expect(socket.writes).toBe(writes);
  while (connection.streamCount > 0) {
    socket.roomBytes = 30_000;
    connection.drained();
  }
  socket.roomBytes = 1e9;
  connection.drained();
  expect(socket.body(1).equals(body)).toBe(true);
  expect(socket.heads(1)).toHaveLength(2);
});

test("a client that makes our table smaller is told so, once, in front of the next headers", async () => {
  const { socket, seen } = withRequests(2, { 1: 0 });
  for (const { stream } of seen) stream.respond(answer, false);
  await flush();
  const blocks = socket.ofType(h2Types.headers).map((frame) => frame.payload.toString("hex"));
  expect(blocks).toEqual(["2088", "88"]);
});
