import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import type { HttpRequest } from "../../../runtime/wire/http1/request.ts";
import { type Credentials, makeAuthority } from "../../support/certificates.ts";
import {
  type Engine,
  echo,
  numbered,
  readAll,
  sentFile,
  startEngine,
  text,
} from "../../support/engine.ts";
import { connect, head } from "../../support/raw-http.ts";
import { eventually } from "../../support/server.ts";

let tls: Credentials & { ca: string };
beforeAll(async () => {
  const authority = await makeAuthority();
  tls = { ...(await authority.issue({ name: "engine" })), ca: authority.cert };
});

const openEngines: Engine[] = [];
afterAll(() => {
  for (const engine of openEngines) engine[Symbol.dispose]();
});

/** Nothing is on its way, and each request was booked once. */
function isQuiet({ listener, ends }: Engine, requests: number): boolean {
  return listener.pendingRequests === 0 && ends.length === requests;
}

describe.each(["plain", "TLS"])("over %s", (kind) => {
  const isTls = kind === "TLS";
  const start = (handle: Parameters<typeof startEngine>[0]): Engine => {
    const engine = startEngine(handle, isTls ? tls : undefined);
    openEngines.push(engine);
    return engine;
  };
  const join = (engine: Engine) => connect(engine.port, isTls ? { ca: tls.ca } : {});

  describe("pipelining", () => {
    test("10,000 requests in one go are answered in order, with and without bodies", async () => {
      const engine = start((request) =>
        request.method === "PUT" ? echo(request) : text(request.target),
      );
      await using client = await join(engine);
      const count = 10_000;
      const requests = Array.from({ length: count }, (_, i) => {
        if (i % 3 === 0) return head(`GET /${i}`);
        if (i % 3 === 1) return `${head(`PUT /${i}`, "Content-Length: 2")}ab`;
        return `${head(`PUT /${i}`, "Transfer-Encoding: chunked")}1\r\na\r\n1\r\nb\r\n0\r\n\r\n`;
      });
      const sending = client.send(requests.join(""));
      for (let i = 0; i < count; i += 1) {
        const { body } = await client.answer();
        expect(body.toString()).toBe(i % 3 === 0 ? `/${i}` : `PUT /${i} ab`);
      }
      await sending;
      expect(isQuiet(engine, count)).toBe(true);
    });

    test("a request behind a file that takes several turns is answered without another byte", async () => {
      using file = sentFile(numbered(21 * MiB));
      const engine = start(({ target }) =>
        target === "/file" ? file.answer(MiB, 21 * MiB) : text("behind"),
      );
      await using client = await join(engine);
      await client.send(head("GET /file") + head("GET /behind"));
      expect((await client.answer()).body.equals(numbered(21 * MiB).subarray(MiB))).toBe(true);
      expect((await client.answer()).body.toString()).toBe("behind");
      expect(file.openCount).toBe(0);
    });

    test("what follows a body that nobody wanted is answered", async () => {
      const engine = start(({ target }) => text(target));
      await using client = await join(engine);
      await client.send(head("PUT /a", `Content-Length: ${3 * MiB}`));
      expect((await client.answer()).body.toString()).toBe("/a");
      await client.send(Buffer.concat([Buffer.alloc(3 * MiB), Buffer.from(head("GET /b"))]));
      expect((await client.answer()).body.toString()).toBe("/b");
      const chunked = head("PUT /c", "Transfer-Encoding: chunked");
      await client.send(`${chunked}5\r\nabcde\r\n0\r\nX-Trailer: a\r\n\r\n${head("GET /d")}`);
      expect((await client.answer()).body.toString()).toBe("/c");
      expect((await client.answer()).body.toString()).toBe("/d");
    });

    test("a client that sends without end while nothing is answered is not read without end", async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const engine = start(async (request) => {
        if (request.target === "/first") await promise;
        else await new Promise((next) => setImmediate(next));
        return text(request.target);
      });
      await using client = await join(engine);
      const count = 1_000_000;
      let isSent = false;
      const bytes = head("GET /first") + head("GET /more").repeat(count);
      const sending = client.send(bytes).then(() => {
        isSent = true;
      });
      // More than the buffers of both sides hold.
      expect(bytes.length).toBeGreaterThan(32 * MiB);
      const before = process.memoryUsage().arrayBuffers;
      await eventually("the first request has come", () => engine.listener.pendingRequests === 1);
      expect(isSent).toBe(false);
      resolve();
      for (let i = 0; i < 2_000; i += 1) expect((await client.answer()).status).toBe(200);
      const heldBytes = process.memoryUsage().arrayBuffers - before;
      expect([isSent, heldBytes < 16 * MiB]).toEqual([false, true]);
      client.destroy();
      await sending;
      await eventually("all is booked", () => engine.listener.pendingRequests === 0);
    });
  });

  describe("Expect: 100-continue", () => {
    const expecting = head("PUT /a", "Expect: 100-continue", "Content-Length: 5");

    test("is granted when the body is wanted, and the connection lives on", async () => {
      const engine = start(echo);
      await using client = await join(engine);
      for (const framing of ["Content-Length: 5", "Transfer-Encoding: chunked"]) {
        await client.send(head("PUT /a", "Expect: 100-Continue", framing));
        expect((await client.answer()).status).toBe(100);
        await client.send(framing.startsWith("C") ? "hello" : "5\r\nhello\r\n0\r\n\r\n");
        const { headers, body } = await client.answer();
        expect([body.toString(), headers.get("connection")]).toEqual(["PUT /a hello", undefined]);
      }
    });

    test("is not granted to a client that does not wait for it", async () => {
      const engine = start(echo);
      await using client = await join(engine);
      await client.send(`${expecting}hello${expecting}h`);
      expect((await client.answer()).status).toBe(200);
      await client.send("ello");
      expect((await client.answer()).body.toString()).toBe("PUT /a hello");
    });

    test("ends the connection when the answer comes first, whatever the client sends then", async () => {
      const engine = start(() => text("no", 403));
      for (const rest of ["", "hello", head("GET /b"), `hello${head("GET /b")}`]) {
        await using client = await join(engine);
        await client.send(expecting);
        const { status, headers } = await client.answer();
        expect([status, headers.get("connection")]).toEqual([403, "close"]);
        await client.send(rest);
        expect((await client.closed()).length).toBe(0);
      }
      expect(engine.ends).toEqual([true, true, true, true]);
    });

    test("is no news to HTTP/1.0", async () => {
      const engine = start(echo);
      await using client = await join(engine);
      await client.send(expecting.replace("HTTP/1.1", "HTTP/1.0"));
      await client.send("hello");
      expect((await client.answer()).body.toString()).toBe("PUT /a hello");
      expect((await client.closed()).length).toBe(0);
    });
  });

  test("heads that come byte by byte are read, several on one connection", async () => {
    const engine = start(echo);
    await using client = await join(engine);
    const request = `\r\n${head("PUT /slow", "Transfer-Encoding: chunked")}3\r\nabc\r\n0\r\n\r\n`;
    for (const byte of request + request) await client.send(byte);
    for (let i = 0; i < 2; i += 1) {
      expect((await client.answer()).body.toString()).toBe("PUT /slow abc");
    }
    expect(isQuiet(engine, 2)).toBe(true);
  });

  test("HTTP/1.0 is kept alive when it asks, is told so, and ends when it does not ask", async () => {
    const engine = start(echo);
    await using client = await join(engine);
    await client.send("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    expect((await client.answer()).headers.get("connection")).toBe("keep-alive");
    await client.send("GET /a HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n");
    expect((await client.answer()).headers.get("connection")).toBe("close");
    expect((await client.closed()).length).toBe(0);
  });

  test("answers without a body say so: HEAD, 204 and none at all", async () => {
    using file = sentFile(numbered(1_000));
    const engine = start(({ target }) => {
      if (target === "/204") return { status: 204, headers: {}, body: { at: "none" } };
      if (target === "/file") return file.answer(1, 1_000);
      return target === "/empty" ? file.answer(5, 5) : text("x".repeat(5));
    });
    await using client = await join(engine);
    for (const [line, toHead, lengthBytes] of [
      ["HEAD /text", true, "5"],
      ["HEAD /file", true, "999"],
      ["GET /204", false, undefined],
      ["GET /empty", false, "0"],
      ["HEAD /204", true, undefined],
    ] as const) {
      await client.send(head(line));
      const { headers, body } = await client.answer({ toHead });
      expect([line, headers.get("content-length"), body.length]).toEqual([line, lengthBytes, 0]);
    }
    expect([file.openCount, isQuiet(engine, 5)]).toEqual([0, true]);
  });

  test("an upload is not read faster than it is taken", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let request: HttpRequest | null = null;
    const engine = start(async (one) => {
      request = one;
      await promise;
      const body = await readAll(one);
      return text(String(body.equals(numbered(32 * MiB))));
    });
    await using client = await join(engine);
    const sending = client.send(
      Buffer.concat([
        Buffer.from(head("PUT /a", `Content-Length: ${32 * MiB}`)),
        numbered(32 * MiB),
      ]),
    );
    const received = (): number => request?.body.receivedBytes ?? 0;
    await eventually("the queue is full", () => received() >= 512 * KiB - 4 * KiB);
    await engine.clock.step(1);
    for (let i = 0; i < 20; i += 1) await new Promise((next) => setTimeout(next, 5));
    expect(received()).toBeLessThan(1.25 * MiB);
    resolve();
    await sending;
    expect((await client.answer()).body.toString()).toBe("true");
  });
});
