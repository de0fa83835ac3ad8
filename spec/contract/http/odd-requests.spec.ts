import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, head, rawRequest } from "../../support/raw-http.ts";
import { type SpecServer, startServer } from "../../support/server.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const canary = "/api/cache/gradle/canary?tenant_id=t";
const smuggled = `PUT ${canary} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx`;
const put = "PUT /api/cache/gradle/outer?tenant_id=t HTTP/1.1\r\nHost: a\r\n";
const length = `Content-Length: ${smuggled.length}\r\n`;
const chunked = "Transfer-Encoding: chunked\r\n";

describe("a request that two servers could read differently", () => {
  test.each([
    ["both lengths", `${put}${chunked}Content-Length: 5\r\n\r\n0\r\n\r\n${smuggled}`],
    ["both lengths the other way", `${put}Content-Length: 5\r\n${chunked}\r\n0\r\n\r\n${smuggled}`],
    ["two lengths", `${put}Content-Length: 0\r\n${length}\r\n${smuggled}`],
    ["two equal lengths", `${put}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx${smuggled}`],
    ["a list of lengths", `${put}Content-Length: 0, ${smuggled.length}\r\n\r\n${smuggled}`],
    ["a signed length", `${put}Content-Length: +0\r\n\r\n${smuggled}`],
    ["a negative length", `${put}Content-Length: -1\r\n\r\n${smuggled}`],
    ["a hex length", `${put}Content-Length: 0x0\r\n\r\n${smuggled}`],
    ["a huge length", `${put}Content-Length: 99999999999999999999\r\n\r\n${smuggled}`],
    ["an obfuscated chunked", `${put}Transfer-Encoding: xchunked\r\n\r\n${smuggled}`],
    ["chunked not last", `${put}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`],
    ["a tabbed chunked", `${put}Transfer-Encoding:\tchunked\r\n${length}\r\n0\r\n\r\n${smuggled}`],
    ["a space before the colon", `${put}Content-Length : 0\r\n\r\n${smuggled}`],
    ["a folded header", `${put}X-A: b\r\n ${length}\r\n${smuggled}`],
    ["a NUL in a header", `${put}X-A: b\0c\r\n\r\n${smuggled}`],
    ["bare line feeds", `PUT ${canary}2 HTTP/1.1\nHost: a\nContent-Length: 0\n\n${smuggled}`],
    ["no host", `GET /up HTTP/1.1\r\n\r\n${smuggled}`],
    ["two hosts", `GET /up HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${smuggled}`],
    ["two equal hosts", `GET /up HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n${smuggled}`],
    ["a host with a path", `GET /up HTTP/1.1\r\nHost: a/api/cache?x=\r\n\r\n${smuggled}`],
    ["a host with a fragment", `GET /up HTTP/1.1\r\nHost: a#\r\n\r\n${smuggled}`],
    ["a host with a space", `GET /up HTTP/1.1\r\nHost: a b\r\n\r\n${smuggled}`],
    ["a host with a user", `GET /up HTTP/1.1\r\nHost: u:p@a:99999\r\n\r\n${smuggled}`],
    ["a fragment", `GET /up#x HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}`],
    ["a target without a slash", `GET up HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}`],
    ["a tab in the target", `GET /up\tx HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}`],
    ["a control in the target", `GET /up\x01 HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}`],
    ["CONNECT", `CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}`],
    ["an unknown method", `SMUGGLE /up HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}`],
    ["another version", `GET /up HTTP/3.0\r\nHost: a\r\n\r\n${smuggled}`],
  ])("(%s) is refused, closed, and nothing behind it is read", async (_, text) => {
    await using connection = await connect(server.port);
    await connection.send(text);
    const rest = (await connection.closed()).toString("latin1");
    expect(rest).toMatch(/^HTTP\/1\.1 (4\d\d|501|505) /);
    expect(rest.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect((await fetch(`${server.url}${canary}`)).status).toBe(404);
    expect((await fetch(`${server.url}${canary}2`)).status).toBe(404);
  });

  test.each([
    ["key-value", "/api/cache/keyvalue?tenant_id=t", "application/json"],
    ["Gradle", "/api/cache/gradle/twice?tenant_id=t", "application/json"],
    ["Nx", "/v1/cache/twice", "text/plain; charset=utf-8"],
  ])("two equal lengths for %s are 400, and the node lives on", async (_, target, type) => {
    const lengths = ["Content-Length: 2", "Content-Length: 2"];
    const refused = await rawRequest(server.port, `${head(`PUT ${target}`, ...lengths)}{}`);
    expect([refused.status, refused.headers.get("content-type")]).toEqual([400, type]);
    expect(refused.headers.get("connection")).toBe("close");
    expect((await fetch(`${server.url}/up`)).status).toBe(200);
    expect(server.budget.usedBytes).toBe(0);
  });

  test("(bad last chunk) does not let what follows in", async () => {
    await using connection = await connect(server.port);
    await connection.send(`${put}${chunked}\r\n1\r\nx\r\n0\r\nX${smuggled}`);
    await connection.closed();
    expect((await fetch(`${server.url}${canary}`)).status).toBe(404);
  });

  test("the host changes neither scope nor answer", async () => {
    await rawRequest(
      server.port,
      "PUT /api/cache/gradle/hosted?tenant_id=t HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 1\r\n\r\nx",
    );
    for (const line of [
      "GET http://other.test/api/cache/gradle/hosted?tenant_id=t HTTP/1.1\r\nHost: third.test",
      "GET /api/cache/gradle/hosted?tenant_id=t HTTP/1.1\r\nHost: gateway.test\r\nX-Forwarded-Host: a",
      "GET /api/cache/gradle/hosted?tenant_id=t HTTP/1.0",
    ]) {
      const got = await rawRequest(server.port, `${line}\r\n\r\n`);
      expect([line, got.status, got.body.toString()]).toEqual([line, 200, "x"]);
    }
  });

  test("requests that are pipelined are answered one by one, in order", async () => {
    await using connection = await connect(server.port);
    const gets = ["a", "b", "c"].map((id) => head(`GET /v1/cache/${id}`, `X-Request-Id: ${id}`));
    await connection.send(gets.join(""));
    for (const id of ["a", "b", "c"]) {
      expect((await connection.answer()).headers.get("x-request-id")).toBe(id);
    }
  });
});

describe("an oversized request", () => {
  test.each([
    ["16 KiB of headers", head("GET /v1/cache/a", `X-A: ${"a".repeat(16_384)}`)],
    ["100 headers", head("GET /v1/cache/a", ...Array.from({ length: 100 }, (_, i) => `X-${i}: a`))],
    ["a target of 9 KiB", head(`GET /v1/cache/${"a".repeat(9_000)}`)],
    ["a query of 9 KiB", head(`GET /api/cache/cas/a?tenant_id=t&x=${"a".repeat(9_000)}`)],
    ["1,000 parameters", head(`GET /api/cache/cas/a?tenant_id=t${"&a=b".repeat(1_000)}`)],
    ["100,000 parameters", head(`GET /api/cache/cas/a?tenant_id=t${"&a=b".repeat(100_000)}`)],
  ])("(%s) is refused at once with a 4xx", async (_, text) => {
    const startMs = performance.now();
    const refused = await rawRequest(server.port, text);
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(refused.status).toBeLessThan(500);
    expect(performance.now() - startMs).toBeLessThan(500);
  });

  test("names of the prototype are names like others", async () => {
    for (const name of ["__proto__", "constructor", "toString"]) {
      const target = `/api/cache/gradle/${name}?tenant_id=${name}&namespace_id=${name}`;
      await fetch(`${server.url}${target}`, { method: "PUT", body: name });
      expect(await (await fetch(`${server.url}${target}`)).text()).toBe(name);
      expect((await fetch(`${server.url}/api/cache/gradle/x?${name}=1`)).status).toBe(400);
    }
  });
});

test("an id with a line feed or an escape never breaks a line of the log", async () => {
  for (const id of ["a%0Ab", "a%0D%0Ab", "a%1B%5B31m", "a%E2%80%A8b", "a%C2%85b"]) {
    await fetch(`${server.url}/api/cache/gradle/${id}?tenant_id=t`, { method: "PUT", body: "x" });
    const bad = await fetch(`${server.url}/api/cache/gradle/${id}%2F?tenant_id=t`);
    const { message } = (await bad.json()) as { message: string };
    expect(message).toMatch(/^[\x20-\x7e]*$/);
  }
  for (const line of server.logLines) expect(line.trimEnd()).toMatch(/^[^\n\r\u2028\u0085]*$/);
});
