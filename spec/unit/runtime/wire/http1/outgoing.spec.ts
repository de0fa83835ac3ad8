import { describe, expect, test } from "bun:test";
import { Fault } from "../../../../../runtime/base/fault.ts";
import { KiB, MiB } from "../../../../../runtime/base/units.ts";
import type { AnswerBody } from "../../../../../runtime/wire/http1/answer.ts";
import { sendTurnBytesMax } from "../../../../../runtime/wire/http1/limits.ts";
import { Outgoing } from "../../../../../runtime/wire/http1/outgoing.ts";
import { numbered } from "../../../../support/engine.ts";
import { memoryFile, SmallSocket } from "../../../../support/small-socket.ts";

const head = "HTTP/1.1 200 OK\r\n\r\n";

/** A sender with all that it told. */
function makeSender(socket: SmallSocket, isTls = false) {
  const told: (boolean | "turn")[] = [];
  const timers: (() => void)[] = [];
  const after = (_: number, run: () => void) => {
    timers.push(run);
    return { cancel: () => {} };
  };
  const events = {
    done: (isDelivered: boolean) => told.push(isDelivered),
    turn: () => told.push("turn"),
  };
  const outgoing = new Outgoing(socket, isTls, events, after);
  socket.onClosed = () => outgoing.abandon();
  /** The moment is over for which a full socket is left alone. */
  const passMoment = (): void => {
    for (const run of timers.splice(0)) run();
  };
  return { outgoing, told, passMoment };
}

function fileBody(bytes: Uint8Array, socket: SmallSocket, isSent = true) {
  let closes = 0;
  const file = memoryFile(bytes, socket, { isSent });
  const body: AnswerBody = {
    at: "file",
    file,
    startBytes: 3,
    endBytes: bytes.length - 5,
    close: () => (closes += 1),
  };
  return { body, file, closes: () => closes };
}

describe.each([
  ["bytes that are joined with their head", 100 * KiB, "bytes"],
  ["bytes that are not", 700 * KiB, "bytes"],
  ["a file by the kernel", 3 * MiB, "kernel"],
  ["a file that passes through", 3 * MiB, "copy"],
  ["a file over TLS", 3 * MiB, "tls"],
] as const)("%s", (_, sizeBytes, way) => {
  test.each([1, 7, 1_000, 16 * KiB, 100_000, 5 * MiB])(
    "reach a client that takes %d bytes at a time, or a little more",
    async (stepBytes) => {
      const bytes = numbered(stepBytes < 1_000 ? 3_000 : sizeBytes);
      const socket = new SmallSocket(0);
      const { outgoing, told, passMoment } = makeSender(socket, way === "tls");
      const { body, closes } = fileBody(bytes, socket, way !== "copy");
      outgoing.send(head, way === "bytes" ? { at: "bytes", bytes } : body);
      const taken: Buffer[] = [];
      for (let i = 0; outgoing.isBusy; i += 1) {
        socket.roomBytes = stepBytes + (i % 5);
        passMoment();
        outgoing.drain();
        taken.push(socket.taken());
        if (told[told.length - 1] === "turn") await new Promise(setImmediate);
      }
      const wish = way === "bytes" ? bytes : bytes.subarray(3, -5);
      expect(Buffer.concat(taken).equals(Buffer.concat([Buffer.from(head), wish]))).toBe(true);
      expect(told.filter((one) => one !== "turn")).toEqual([true]);
      expect([closes(), outgoing.progress]).toEqual([
        way === "bytes" ? 0 : 1,
        head.length + wish.length,
      ]);
    },
  );
});

test("a large file lets others have their turn, and goes on by itself", async () => {
  const socket = new SmallSocket();
  const { outgoing, told } = makeSender(socket);
  outgoing.send(head, fileBody(numbered(3 * sendTurnBytesMax), socket).body);
  expect(socket.taken().length).toBe(head.length + sendTurnBytesMax);
  // Room that is told of meanwhile gives no second turn beside the first.
  for (let i = 0; i < 10; i += 1) outgoing.drain();
  expect([socket.taken().length, told]).toEqual([0, []]);
  await new Promise(setImmediate);
  expect(told).toEqual(["turn"]);
  outgoing.drain();
  await new Promise(setImmediate);
  outgoing.drain();
  expect(told).toEqual(["turn", "turn", true]);
});

test("a socket that is full is left alone for a moment, and nudged when it is full after that", () => {
  const socket = new SmallSocket(100 * KiB);
  const { outgoing, told, passMoment } = makeSender(socket);
  const bytes = numbered(MiB);
  const { body, file } = fileBody(bytes, socket);
  if (body.at !== "file") throw new Error("It is a file");
  let nudges = 0;
  const read = (into: Uint8Array, atBytes: number): number => {
    nudges += 1;
    return file.read(into, atBytes);
  };
  outgoing.send(head, { ...body, file: { ...file, read } });
  outgoing.drain();
  expect([nudges, told]).toEqual([0, []]);
  passMoment();
  outgoing.drain();
  expect([nudges, told]).toEqual([1, ["turn"]]);
  // Room that comes in that moment is used by the kernel alone.
  socket.roomBytes = 100 * KiB;
  outgoing.drain();
  socket.roomBytes = 10 * MiB;
  passMoment();
  outgoing.drain();
  expect([nudges, outgoing.isBusy]).toEqual([1, false]);
  expect(socket.taken().subarray(head.length).equals(bytes.subarray(3, -5))).toBe(true);
});

describe("a file that", () => {
  test.each(["kernel", "tls"])(
    "is shorter than promised is cut, and told as not delivered (%s)",
    (way) => {
      const bytes = numbered(MiB);
      const socket = new SmallSocket(300 * KiB);
      const { outgoing, told, passMoment } = makeSender(socket, way === "tls");
      const { body, closes } = fileBody(bytes, socket);
      if (body.at !== "file") throw new Error("It is a file");
      const short = memoryFile(bytes.subarray(0, MiB / 2), socket);
      outgoing.send(head, { ...body, file: short });
      socket.roomBytes = 10 * MiB;
      passMoment();
      outgoing.drain();
      outgoing.drain();
      const ends = told.filter((one) => one !== "turn");
      expect([socket.ends, ends, closes()]).toEqual([["terminate"], [false], 1]);
    },
  );

  test("cannot be read any more is cut, too", () => {
    const socket = new SmallSocket();
    const { outgoing, told } = makeSender(socket, true);
    const { body, file, closes } = fileBody(numbered(MiB), socket);
    if (body.at !== "file") throw new Error("It is a file");
    const read = (): never => {
      throw new Fault("internal", "Cannot read the file: EIO");
    };
    outgoing.send(head, { ...body, file: { ...file, read } });
    expect([socket.ends, told, closes()]).toEqual([["terminate"], [false], 1]);
  });

  test("was being sent when the connection went is given back, once", async () => {
    const socket = new SmallSocket();
    const { outgoing, told } = makeSender(socket);
    const { body, closes } = fileBody(numbered(2 * sendTurnBytesMax), socket);
    outgoing.send(head, body);
    outgoing.abandon();
    outgoing.abandon();
    await new Promise(setImmediate);
    outgoing.drain();
    expect([told, closes()]).toEqual([[false, "turn"], 1]);
    expect(socket.taken().length).toBe(head.length + sendTurnBytesMax);
  });
});

test("an interim answer that does not fit goes before the answer", () => {
  const socket = new SmallSocket(5);
  const { outgoing, told } = makeSender(socket);
  outgoing.sendInterim("HTTP/1.1 100 Continue\r\n\r\n");
  outgoing.send(head, fileBody(numbered(100), socket).body);
  expect(told).toEqual([]);
  socket.roomBytes = 1_000;
  outgoing.drain();
  const text = socket.taken().toString("latin1");
  expect(text.startsWith(`HTTP/1.1 100 Continue\r\n\r\n${head}`)).toBe(true);
  expect([told, text.length]).toEqual([[true], 25 + head.length + 92]);
});

test("bytes from the shared buffer are kept apart from what others send", () => {
  const [slow, fast] = [new SmallSocket(0), new SmallSocket()];
  makeSender(slow).outgoing.send(head, { at: "bytes", bytes: Buffer.alloc(1_000, "a") });
  const { outgoing } = makeSender(slow);
  outgoing.send(head, { at: "bytes", bytes: Buffer.alloc(1_000, "a") });
  makeSender(fast).outgoing.send(head, { at: "bytes", bytes: Buffer.alloc(1_000, "b") });
  slow.roomBytes = 10_000;
  outgoing.drain();
  expect(slow.taken().toString()).toBe(head + "a".repeat(1_000));
});
