import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { KiB, MiB, second } from "../../../runtime/base/units.ts";
import { connect, head, rawRequest } from "../../support/raw-http.ts";
import { eventually, type SpecServer, SteppedClock, startServer } from "../../support/server.ts";
import { dialects, patterned, targetOf } from "./dialects.ts";
import { largeFiles } from "./files.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const statusOf = async (target: string): Promise<number> =>
  (await fetch(`${server.url}${target}`)).status;
/** Nothing waits, nothing is held, nothing was left on disk. */
const isClean = (): boolean =>
  server.life.httpInflight === 0 &&
  server.budget.usedBytes === 0 &&
  largeFiles(server.dataDir) === 0;

describe.each(dialects)("an upload to $name", (dialect) => {
  const { write } = dialect;
  const target = (id: string): string => targetOf(dialect, id);
  const counted = (): Promise<number> =>
    server.metric(`kura_http_exceptions_total{route="${dialect.template}",kind="client_aborted"}`);

  test.each([100, 100 * KiB, 3 * MiB])(
    "of %d bytes that ends early is not stored and counted as the client's doing",
    async (lengthBytes) => {
      const before = await counted();
      for (const end of ["destroy", "endWriting"] as const) {
        const id = `cut${lengthBytes}${end}`;
        await using connection = await connect(server.port);
        await connection.send(head(`${write} ${target(id)}`, `Content-Length: ${lengthBytes}`));
        await connection.send(patterned(lengthBytes - 1));
        await eventually("the upload is under way", () => server.life.httpInflight > 0);
        connection[end]();
        await eventually("the upload has ended", isClean);
        expect(await statusOf(target(id))).toBe(404);
      }
      expect((await counted()) - before).toBe(2);
    },
  );

  test.each([
    ["no number", "3\r\nabc\r\nZZ\r\nx\r\n0\r\n\r\n"],
    ["a negative size", "3\r\nabc\r\n-1\r\n\r\n"],
    ["no line end after a chunk", "3\r\nabcXX0\r\n\r\n"],
    ["too much in a chunk", "3\r\nabcdef\r\n0\r\n\r\n"],
    ["a huge size", "ffffffffffffffffff\r\nabc"],
  ])("with %s in its chunks is 400 and not stored", async (what, body) => {
    await using connection = await connect(server.port);
    await connection.send(head(`${write} ${target("framing")}`, "Transfer-Encoding: chunked"));
    await connection.send(body);
    expect([what, (await connection.answer()).status]).toEqual([what, 400]);
    await connection.closed();
    await eventually("the upload has ended", isClean);
    expect(await statusOf(target("framing"))).toBe(404);
  });

  test("whose chunks stop in the middle is not stored", async () => {
    for (const body of ["", "3\r\nab", "3\r\nabc\r\n", "3\r\nabc\r\n0"]) {
      await using connection = await connect(server.port);
      await connection.send(head(`${write} ${target("stopped")}`, "Transfer-Encoding: chunked"));
      await connection.send(body);
      await eventually("the upload is under way", () => server.life.httpInflight > 0);
      connection.destroy();
      await eventually("the upload has ended", isClean);
      expect(await statusOf(target("stopped"))).toBe(404);
    }
  });

  test("that waits for 100 Continue gets it, then its answer", async () => {
    await using connection = await connect(server.port);
    const line = `${write} ${target("continued")}`;
    await connection.send(head(line, "Expect: 100-continue", "Content-Length: 5"));
    expect((await connection.answer()).status).toBe(100);
    await connection.send("hello");
    expect((await connection.answer()).status).toBe(dialect.stored);
  });

  test("that is too large in its chunks is refused with an answer, and the connection goes on", async () => {
    await using small = await startServer({ env: limitsOf64KiB });
    await using connection = await connect(small.port);
    await connection.send(head(`${write} ${target("chunked")}`, "Transfer-Encoding: chunked"));
    const chunk = patterned(50 * KiB);
    for (let i = 0; i < 4; i++) {
      await connection.send(`${chunk.length.toString(16)}\r\n`);
      await connection.send(chunk);
      await connection.send("\r\n");
    }
    await connection.send("0\r\n\r\n");
    expect((await connection.answer()).status).toBe(dialect.isText ? 403 : 413);
    await connection.send(head(`GET ${target("chunked")}`));
    expect((await connection.answer()).status).toBe(404);
  });

  test("over the limit by one byte is refused, and one of the limit is stored", async () => {
    await using small = await startServer({ env: limitsOf64KiB });
    const url = `${small.url}${target("edge")}`;
    const over = await fetch(url, { method: write, body: patterned(64 * KiB + 1) });
    expect(over.status).toBe(dialect.isText ? 403 : 413);
    const fits = await fetch(url, { method: write, body: patterned(64 * KiB) });
    expect(fits.status).toBe(dialect.stored);
  });
});

const limitsOf64KiB = {
  KURA_MAX_XCODE_BYTES: "65536",
  KURA_MAX_GRADLE_BYTES: "65536",
  KURA_MAX_NX_BYTES: "65536",
  KURA_MAX_METRO_BYTES: "65536",
};

describe("a slow body", () => {
  const target = "/api/cache/gradle/slow?tenant_id=t";

  test.each([
    ["short", "Content-Length: 1000", "abc"],
    ["longer", "Content-Length: 50000", "abc"],
    ["large", "Content-Length: 3000000", "abc"],
    ["chunked", "Transfer-Encoding: chunked", "3\r\nabc\r\n"],
  ])("(%s) is ended with 408 after 10 s of grace", async (_, header, body) => {
    const clock = new SteppedClock();
    await using slow = await startServer({ clock });
    await using connection = await connect(slow.port);
    await connection.send(head(`PUT ${target}`, header));
    await connection.send(body);
    await eventually("the upload is under way", () => slow.life.httpInflight === 1);
    await settle();
    clock.step(9 * second);
    await settle();
    expect(slow.life.httpInflight).toBe(1);
    clock.step(3 * second);
    // On a busy machine the disk may have kept the client waiting just then, which gives it another window.
    await settle();
    clock.step(12 * second);
    const refused = await connection.answer();
    expect([refused.status, refused.headers.get("connection")]).toEqual([408, "close"]);
    await connection.closed();
    await eventually("nothing is held", () => slow.budget.usedBytes === 0);
    expect(largeFiles(slow.dataDir)).toBe(0);
    expect((await fetch(`${slow.url}${target}`)).status).toBe(404);
  });

  test("that brings 16 KiB a second may take as long as it needs", async () => {
    const clock = new SteppedClock();
    await using slow = await startServer({ clock });
    await using connection = await connect(slow.port);
    const piece = patterned(20 * KiB);
    const rounds = 30;
    await connection.send(head(`PUT ${target}`, `Content-Length: ${piece.length * rounds}`));
    for (let i = 0; i < rounds; i++) {
      await connection.send(piece);
      await eventually(
        "the piece has come",
        () => slow.budget.usedBytes >= piece.length * (i + 1) || i === rounds - 1,
      );
      clock.step(1 * second);
    }
    expect((await connection.answer()).status).toBe(201);
  });

  test("that was fast at first and then stalls is ended all the same", async () => {
    const clock = new SteppedClock();
    await using slow = await startServer({ clock });
    await using connection = await connect(slow.port);
    await connection.send(head(`PUT ${target}`, "Content-Length: 1000000"));
    await connection.send(patterned(900_000));
    await eventually("it has come", () => slow.budget.usedBytes >= 900_000);
    clock.step(10 * second);
    await settle();
    expect(slow.life.httpInflight).toBe(1);
    clock.step(11 * second);
    expect((await connection.answer()).status).toBe(408);
  });

  test("holds no more memory than has come", async () => {
    await using connection = await connect(server.port);
    await connection.send(head(`PUT ${target}`, "Content-Length: 1000000"));
    await connection.send(patterned(30_000));
    await eventually("it has come", () => server.budget.usedBytes > 0);
    await settle();
    expect(server.budget.usedBytes).toBeLessThanOrEqual(30_000);
  });

  test("does not keep others from being served", async () => {
    const trickles = await Promise.all(Array.from({ length: 200 }, () => connect(server.port)));
    for (const connection of trickles) {
      await connection.send(head(`PUT ${target}`, "Content-Length: 1000000"));
      await connection.send("x");
    }
    const stored = await fetch(`${server.url}/api/cache/gradle/other?tenant_id=t`, {
      method: "PUT",
      body: patterned(100_000),
    });
    expect(stored.status).toBe(201);
    for (const connection of trickles) connection.destroy();
    await eventually("all have ended", isClean);
  });

  /** Lets what has arrived be handled; nothing is waited for. */
  async function settle(): Promise<void> {
    for (let i = 0; i < 3; i++) await fetch(`${server.url}/up`);
  }
});

test("a client that half-closes after a whole request is still served", async () => {
  await using connection = await connect(server.port);
  await connection.send(head("GET /api/cache/gradle/half?tenant_id=t"));
  connection.endWriting();
  expect((await connection.answer()).status).toBe(404);
});

test("a 413 leaves the connection in step when the body is short", async () => {
  await using small = await startServer({ env: limitsOf64KiB });
  const line = "PUT /api/cache/gradle/x?tenant_id=t";
  const answer = await rawRequest(small.port, head(line, "Content-Length: 70000"));
  expect(answer.headers.get("connection")).not.toBe("close");
  await using connection = await connect(small.port);
  await connection.send(head(line, "Content-Length: 70000"));
  expect((await connection.answer()).status).toBe(413);
  await connection.send(patterned(70_000));
  await connection.send(head("GET /up"));
  expect((await connection.answer()).status).toBe(200);
});

test("a connection that was freed from the idle limit for a large body gets it back", async () => {
  await using idle = await startServer({ env: { KURA_HTTP_IDLE_TIMEOUT_MS: "1000" } });
  await using connection = await connect(idle.port);
  const line = "PUT /api/cache/gradle/idle?tenant_id=t";
  await connection.send(head(line, `Content-Length: ${2 * MiB}`));
  await connection.send(patterned(2 * MiB));
  expect((await connection.answer()).status).toBe(201);
  await connection.closed();
});
