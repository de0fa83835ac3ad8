import { describe, expect, test } from "bun:test";
import { bodyWindowMs } from "../../../../../runtime/base/limits.ts";
import { KiB, MiB, minute, second } from "../../../../../runtime/base/units.ts";
import type { Answer } from "../../../../../runtime/wire/http1/answer.ts";
import type { HttpHandler } from "../../../../../runtime/wire/http1/connection.ts";
import {
  headMsMax,
  lingerMsMax,
  lingerSilenceMsMax,
  pipelineBytesMax,
  requestsPerTurnMax,
  sendStallMsMax,
} from "../../../../../runtime/wire/http1/limits.ts";
import { ConnectionBench, turns } from "../../../../support/connection-bench.ts";
import { echo, engineIdleMs, numbered, text } from "../../../../support/engine.ts";
import { head } from "../../../../support/raw-http.ts";
import { eventually } from "../../../../support/server.ts";
import { memoryFile, SmallSocket } from "../../../../support/small-socket.ts";

const hello = (): Answer => text("hello");

/** A handler whose answers are given by hand. */
function byHand(): { handle: HttpHandler["handle"]; answers: ((answer: Answer) => void)[] } {
  const answers: ((answer: Answer) => void)[] = [];
  return { answers, handle: () => new Promise((resolve) => answers.push(resolve)) };
}

function fileAnswer(
  socket: SmallSocket,
  sizeBytes: number,
): { answer: Answer; closes: () => number } {
  let closes = 0;
  const file = memoryFile(numbered(sizeBytes), socket);
  const close = (): void => {
    closes += 1;
  };
  const body = { at: "file", file, startBytes: 0, endBytes: sizeBytes, close } as const;
  return { answer: { status: 200, headers: {}, body }, closes: () => closes };
}

describe("time", () => {
  test("ends a silent connection, and not one that still has a little", () => {
    const bench = new ConnectionBench(hello);
    bench.pass(engineIdleMs - second);
    bench.send(head("GET /"));
    bench.pass(engineIdleMs);
    expect(bench.socket.ends).toEqual([]);
    bench.pass(2 * second);
    expect([bench.socket.ends, bench.statuses(), bench.pending]).toEqual([["end"], ["200"], 0]);
  });

  test("cuts a silent client over TLS that does not take its leave", () => {
    const bench = new ConnectionBench(hello, new SmallSocket(), true);
    bench.pass(engineIdleMs + 2 * second);
    expect(bench.socket.ends).toEqual(["shutdown"]);
    bench.pass(lingerSilenceMsMax + second);
    expect(bench.socket.ends).toEqual(["shutdown", "terminate"]);
  });

  test("is up for a head that trickles, which is told so", () => {
    const bench = new ConnectionBench(hello);
    bench.pass(engineIdleMs - second);
    for (const byte of "GET / HTTP") {
      bench.send(byte);
      bench.pass(second);
    }
    expect(bench.socket.ends).toEqual([]);
    bench.pass(headMsMax - 9 * second);
    expect([bench.statuses(), bench.socket.ends, bench.pending]).toEqual([
      ["408"],
      ["shutdown"],
      0,
    ]);
  });

  test("is not up for an empty line after a request: the connection is idle all the same", () => {
    const bench = new ConnectionBench(hello);
    bench.send(`${head("GET /")}\r\n`);
    bench.pass(headMsMax + 2 * second);
    expect([bench.statuses(), bench.socket.ends]).toEqual([["200"], []]);
    bench.send(head("GET /"));
    expect(bench.statuses()).toEqual(["200"]);
    for (let i = 0; i < 10; i += 1) {
      bench.pass(engineIdleMs / 8);
      bench.send("\r\n");
    }
    expect(bench.socket.ends).toEqual(["end"]);
  });

  test("is up for the rest of a refused body that trickles, and not for one that comes", () => {
    const upload = head("PUT /", `Content-Length: ${100 * MiB}`);
    const [slow, quick] = [new ConnectionBench(hello), new ConnectionBench(hello)];
    for (const bench of [slow, quick]) bench.send(upload);
    for (let i = 0; i < 12; i += 1) {
      slow.send("x");
      quick.send(numbered(20 * KiB));
      slow.pass(second);
      quick.pass(second);
    }
    expect([slow.statuses(), slow.socket.ends]).toEqual([["200"], ["terminate"]]);
    expect([quick.statuses(), quick.socket.ends]).toEqual([["200"], []]);
  });

  test("is not up for a handler that works", () => {
    const { handle, answers } = byHand();
    const bench = new ConnectionBench(handle);
    bench.send(head("GET /"));
    bench.pass(60 * minute);
    expect([bench.socket.ends, answers.length, bench.pending]).toEqual([[], 1, 1]);
  });

  test("is up for a client that takes nothing, even when it goes on sending", async () => {
    const socket = new SmallSocket(100);
    const { answer, closes } = fileAnswer(socket, MiB);
    const bench = new ConnectionBench(() => answer, socket);
    bench.send(head("GET /"));
    for (let ms = 0; ms < sendStallMsMax - 10 * second; ms += 10 * second) {
      bench.pass(10 * second);
      bench.send("G");
    }
    expect(socket.ends).toEqual([]);
    socket.roomBytes = 1;
    // A full socket is left alone for a moment of the machine's time.
    await eventually("the byte has gone", () => {
      bench.connection.drained();
      return socket.roomBytes === 0;
    });
    for (let ms = 0; ms < sendStallMsMax; ms += 10 * second) {
      bench.pass(10 * second);
      bench.send("E");
    }
    expect(socket.ends).toEqual([]);
    bench.pass(10 * second);
    expect([socket.ends, bench.ends, bench.pending, closes()]).toEqual([
      ["terminate"],
      [false],
      0,
      1,
    ]);
  });

  test("is up for the rest of a body that nobody wants and that does not come", () => {
    const bench = new ConnectionBench(hello);
    bench.send(head("PUT /", "Content-Length: 10"));
    expect([bench.statuses(), bench.pending]).toEqual([["200"], 0]);
    bench.pass(bodyWindowMs);
    expect(bench.socket.ends).toEqual([]);
    bench.pass(2 * second);
    expect([bench.socket.ends, bench.ends]).toEqual([["terminate"], [true]]);
  });

  test("is up for a client that goes on sending after its last answer", () => {
    const bench = new ConnectionBench(() => ({ ...hello(), hangsUp: true }));
    bench.send(head("PUT /", "Content-Length: 1000000"));
    expect(bench.socket.ends).toEqual(["shutdown"]);
    for (let ms = 0; ms < lingerMsMax; ms += second) {
      bench.send(Buffer.alloc(1_000));
      bench.pass(second);
    }
    expect(bench.socket.ends).toEqual(["shutdown"]);
    bench.pass(2 * second);
    expect(bench.socket.ends).toEqual(["shutdown", "terminate"]);
    const silent = new ConnectionBench(() => ({ ...hello(), hangsUp: true }));
    silent.send(head("GET /"));
    silent.pass(lingerSilenceMsMax + 2 * second);
    expect(silent.socket.ends).toEqual(["shutdown", "terminate"]);
  });
});

describe("a client that ends its half", () => {
  test("gets the answers to all that it asked for, and then the end", async () => {
    const { handle, answers } = byHand();
    const bench = new ConnectionBench(handle);
    bench.send(`${head("GET /a")}${head("GET /b")}${head("GET /c")}GET /d`);
    bench.connection.halfClosed();
    for (let i = 0; i < 3; i += 1) {
      expect([answers.length, bench.socket.ends]).toEqual([i + 1, []]);
      answers[i]?.(hello());
      await turns(2);
    }
    expect([bench.statuses(), bench.ends]).toEqual([
      ["200", "200", "200"],
      [true, true, true],
    ]);
    expect([bench.socket.ends.at(-1), bench.pending]).toEqual(["end", 0]);
  });

  test("is ended at once when it asked for nothing, or for half a thing", () => {
    for (const data of ["", "\r\n", "GET /", head("GET /")]) {
      const bench = new ConnectionBench(hello);
      if (data !== "") bench.send(data);
      bench.connection.halfClosed();
      expect([data, bench.socket.ends]).toEqual([data, ["end"]]);
    }
  });

  test("in the middle of a body is told that it ended early", async () => {
    for (const requests of [
      head("PUT /", "Content-Length: 10"),
      `${head("GET /")}${head("PUT /", "Transfer-Encoding: chunked")}3\r\na`,
    ]) {
      const bench = new ConnectionBench(echo);
      bench.send(requests);
      bench.connection.halfClosed();
      await turns(4);
      expect(bench.statuses().at(-1)).toBe("400");
      expect([bench.socket.ends.at(-1), bench.pending]).toEqual(["end", 0]);
    }
  });

  test("in the middle of a body that nobody wants is ended when its answer has gone", () => {
    const socket = new SmallSocket(10);
    const bench = new ConnectionBench(hello, socket);
    bench.send(head("PUT /", "Content-Length: 10"));
    bench.connection.halfClosed();
    expect([socket.ends, bench.pending]).toEqual([[], 1]);
    socket.roomBytes = 1_000;
    bench.connection.drained();
    expect([socket.ends.at(-1), bench.pending, bench.ends]).toEqual(["end", 0, [true]]);
  });
});

describe("a connection that is gone", () => {
  test("gives back the file of an answer that comes too late, and books it once", async () => {
    const socket = new SmallSocket();
    const { handle, answers } = byHand();
    const { answer, closes } = fileAnswer(socket, MiB);
    const bench = new ConnectionBench(handle, socket);
    bench.send(head("GET /"));
    bench.connection.closed();
    expect([bench.pending, closes()]).toEqual([1, 0]);
    answers[0]?.(answer);
    await turns(2);
    expect([bench.pending, bench.ends, closes(), bench.statuses()]).toEqual([0, [false], 1, []]);
  });

  test("wakes whoever waits for its body or its signal", async () => {
    const bench = new ConnectionBench(async (request) => {
      const isAborted = new Promise((resolve) => request.signal.addEventListener("abort", resolve));
      const [code] = await Promise.all([
        request.body.next().catch((error: { code: string }) => error.code),
        isAborted,
      ]);
      return text(String(code));
    });
    bench.send(head("PUT /", "Content-Length: 10"));
    bench.connection.closed();
    await turns(3);
    expect([bench.pending, bench.ends]).toEqual([0, [false]]);
  });

  test("is cut without a byte when the answer says so", () => {
    const bench = new ConnectionBench(() => ({ status: 500, headers: {}, body: { at: "cut" } }));
    bench.send(head("GET /") + head("GET /"));
    expect([bench.socket.ends, bench.statuses(), bench.ends, bench.pending]).toEqual([
      ["terminate"],
      [],
      [false],
      0,
    ]);
  });
});

describe("many requests at once", () => {
  test("are answered some at a time, so that others have their turn", async () => {
    const bench = new ConnectionBench(({ target }) => text(target));
    bench.send(head("GET /").repeat(10 * requestsPerTurnMax));
    expect(bench.statuses().length).toBe(requestsPerTurnMax);
    bench.send(head("GET /"));
    expect(bench.statuses().length).toBeLessThanOrEqual(requestsPerTurnMax);
    await turns(12);
    bench.connection.halfClosed();
    expect(bench.ends.length).toBe(10 * requestsPerTurnMax + 1);
    expect([bench.socket.ends, bench.pending]).toEqual([["end"], 0]);
  });

  test("are not dropped when the client ends its half while others have their turn", async () => {
    const bench = new ConnectionBench(hello);
    bench.send(head("GET /").repeat(3 * requestsPerTurnMax));
    bench.connection.halfClosed();
    await turns(6);
    expect([bench.ends.length, bench.socket.ends.at(-1)]).toEqual([3 * requestsPerTurnMax, "end"]);
  });

  test("stop the reading until there is room, however many of them were answered", async () => {
    const { handle, answers } = byHand();
    const bench = new ConnectionBench(handle);
    const flood = head("GET /").repeat(Math.ceil((300 * KiB) / head("GET /").length));
    bench.send(flood);
    expect(bench.socket.isPaused).toBe(true);
    for (let i = 0; i < 1_000; i += 1) {
      expect([i, bench.socket.isPaused]).toEqual([i, true]);
      answers[i]?.(hello());
      await turns(1);
    }
    const count = Math.ceil((flood.length - pipelineBytesMax) / head("GET /").length) + 1;
    for (let i = 1_000; i < count; i += 1) {
      answers[i]?.(hello());
      await turns(1);
    }
    expect(bench.socket.isPaused).toBe(false);
  });

  test("behind a body that is taken slowly do not start the reading again", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let takenBytes = 0;
    const bench = new ConnectionBench(async ({ body }) => {
      while (takenBytes < 300 * KiB) takenBytes += (await body.next())?.length ?? 0;
      await promise;
      return hello();
    });
    const part = Buffer.alloc(100 * KiB);
    bench.send(Buffer.concat([Buffer.from(head("PUT /", `Content-Length: ${500 * KiB}`)), part]));
    for (let i = 0; i < 3; i += 1) bench.send(part);
    bench.send(Buffer.concat([part, Buffer.from(head("GET /").repeat(2_000))]));
    await turns(10);
    expect([takenBytes, bench.socket.isPaused]).toEqual([300 * KiB, true]);
    resolve();
  });

  test("behind a file that takes several turns are answered without another byte", async () => {
    const socket = new SmallSocket();
    const { answer } = fileAnswer(socket, 9 * MiB);
    const bench = new ConnectionBench(
      ({ target }) => (target === "/file" ? answer : hello()),
      socket,
    );
    bench.send(head("GET /file") + head("GET /"));
    await turns(6);
    expect([bench.ends, bench.pending]).toEqual([[true, true], 0]);
  });
});

test("a slow handler stops the reading of its body, and each piece that it takes starts it again", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const bench = new ConnectionBench(async (request) => {
    await promise;
    return echo(request);
  });
  bench.send(head("PUT /", `Content-Length: ${MiB}`));
  bench.send(Buffer.alloc(500 * KiB));
  expect(bench.socket.isPaused).toBe(false);
  bench.send(Buffer.alloc(100 * KiB));
  expect(bench.socket.isPaused).toBe(true);
  resolve();
  await turns(2);
  expect(bench.socket.isPaused).toBe(false);
  bench.send(Buffer.alloc(MiB - 600 * KiB));
  await turns(2);
  expect([bench.statuses(), bench.pending]).toEqual([["200"], 0]);
});

test("a node that stops ends idle connections, and busy ones after their answer", async () => {
  const { handle, answers } = byHand();
  const [idle, busy, cut] = [
    new ConnectionBench(handle),
    new ConnectionBench(handle),
    new ConnectionBench(handle),
  ];
  busy.send(head("GET /") + head("GET /"));
  cut.send(head("GET /"));
  for (const bench of [idle, busy]) {
    bench.isStopping = true;
    bench.connection.stop(false);
  }
  cut.connection.stop(true);
  expect([idle, busy, cut].map(({ socket }) => socket.ends)).toEqual([["end"], [], ["terminate"]]);
  for (const answer of answers) answer(hello());
  await turns(2);
  const got = busy.socket.taken().toString("latin1");
  expect([got.match(/HTTP/g)?.length, got.includes("connection: close")]).toEqual([1, true]);
  busy.connection.stop(false);
  expect(busy.socket.ends).toEqual(["shutdown"]);
  expect([idle, busy, cut].map(({ pending }) => pending)).toEqual([0, 0, 0]);
});
