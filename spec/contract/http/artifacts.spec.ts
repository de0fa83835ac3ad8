import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import { connect, head, rawRequest } from "../../support/raw-http.ts";
import { type SpecServer, startServer } from "../../support/server.ts";
import { dialects, patterned, targetOf } from "./dialects.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const ask = (target: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${server.url}${target}`, init);

describe.each(dialects)("$name", (dialect) => {
  const { write, stored, exists } = dialect;
  const target = (id: string): string => targetOf(dialect, id);

  test("a stored artifact comes back byte for byte with its headers", async () => {
    for (const sizeBytes of [1, 4 * KiB, 300 * KiB, MiB, 3 * MiB]) {
      const body = patterned(sizeBytes);
      const put = await ask(target(`size${sizeBytes}`), { method: write, body });
      expect([put.status, (await put.arrayBuffer()).byteLength]).toEqual([stored, 0]);

      const got = await ask(target(`size${sizeBytes}`));
      expect(got.status).toBe(200);
      expect(Buffer.compare(Buffer.from(await got.arrayBuffer()), body)).toBe(0);
      expect(got.headers.get("content-length")).toBe(String(sizeBytes));
      expect(got.headers.get("content-type")).toBe("application/octet-stream");
      expect(got.headers.get("content-disposition")).toBe("attachment");
      expect(got.headers.get("accept-ranges")).toBe("bytes");
      expect(got.headers.get("etag")).toMatch(new RegExp(`^"\\d+-${sizeBytes}"$`));
      expect(got.headers.get("content-encoding")).toBeNull();
      expect(got.headers.get("tuist-checksum-sha256")).toBeNull();
      // Twice the same header would be told with a comma.
      expect(got.headers.get("x-kura-region")).toMatch(/^[a-z0-9-]+$/);
      expect(got.headers.get("x-request-id")).toMatch(/^[a-z0-9-]+$/);
    }
  });

  test("the stored content type does not depend on what the client sent", async () => {
    const headers = { "content-type": "text/html", "content-encoding": "gzip" };
    await ask(target("typed"), { method: write, body: "<b>", headers });
    const got = await ask(target("typed"));
    expect(got.headers.get("content-type")).toBe("application/octet-stream");
    expect(got.headers.get("content-encoding")).toBeNull();
    expect(await got.text()).toBe("<b>");
  });

  test("an empty body is an artifact", async () => {
    const put = await ask(target("empty"), { method: write, body: "" });
    expect(put.status).toBe(stored);
    const got = await ask(target("empty"));
    expect([got.status, got.headers.get("content-length")]).toEqual([200, "0"]);
    expect(await got.text()).toBe("");
    const noLength = await rawRequest(server.port, head(`${write} ${target("no-length")}`));
    expect(noLength.status).toBe(stored);
    expect((await ask(target("no-length"))).headers.get("content-length")).toBe("0");
  });

  test("a chunked body is stored like one of known length", async () => {
    const body = patterned(3 * MiB);
    await using connection = await connect(server.port);
    await connection.send(head(`${write} ${target("chunked")}`, "Transfer-Encoding: chunked"));
    for (let at = 0; at < body.length; at += 700_001) {
      const chunk = body.subarray(at, at + 700_001);
      await connection.send(`${chunk.length.toString(16)}\r\n`);
      await connection.send(chunk);
      await connection.send("\r\n");
    }
    await connection.send("0\r\n\r\n");
    expect((await connection.answer()).status).toBe(stored);
    const got = Buffer.from(await (await ask(target("chunked"))).arrayBuffer());
    expect(Buffer.compare(got, body)).toBe(0);
  });

  test("the first write stays, and a second one answers as for what exists", async () => {
    await ask(target("twice"), { method: write, body: "first" });
    const again = await ask(target("twice"), { method: write, body: "second" });
    expect(again.status).toBe(exists);
    expect(await (await ask(target("twice"))).text()).toBe("first");
  });

  test("what exists is answered before its body has come, and the connection goes on", async () => {
    await ask(target("early"), { method: write, body: "first" });
    await using connection = await connect(server.port);
    await connection.send(head(`${write} ${target("early")}`, "Content-Length: 200000"));
    expect((await connection.answer()).status).toBe(exists);
    await connection.send(patterned(200_000));
    await connection.send(head(`GET ${target("early")}`));
    const got = await connection.answer();
    expect([got.status, got.body.toString()]).toEqual([200, "first"]);
  });

  test("of many writers of one key all succeed and one body is stored", async () => {
    const bodies = Array.from({ length: 16 }, (_, i) => `body ${i} `.repeat(1_000));
    const answers = await Promise.all(
      bodies.map((body) => ask(target("raced"), { method: write, body })),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.every((status) => status === stored || status === exists)).toBe(true);
    if (stored !== exists) {
      expect(statuses.filter((status) => status === stored)).toHaveLength(1);
    }
    expect(bodies).toContain(await (await ask(target("raced"))).text());
  });

  test("HEAD answers like GET without the body, and misses like GET", async () => {
    await ask(target("headed"), { method: write, body: "12345" });
    const got = await ask(target("headed"));
    const headed = await rawRequestToHead(head(`HEAD ${target("headed")}`, "Range: bytes=1-2"));
    expect(headed.status).toBe(200);
    for (const name of ["etag", "content-type", "accept-ranges", "content-length"]) {
      expect([name, headed.headers.get(name)]).toEqual([name, got.headers.get(name) ?? ""]);
    }
    expect((await rawRequestToHead(head(`HEAD ${target("absent")}`))).status).toBe(404);
  });

  test("a miss has a JSON body", async () => {
    const missed = await ask(target("nowhere"));
    expect([missed.status, missed.headers.get("content-type")]).toEqual([404, "application/json"]);
    expect(typeof ((await missed.json()) as { message: unknown }).message).toBe("string");
  });

  test("a wrong method is refused with the right ones", async () => {
    for (const method of ["DELETE", "PATCH", "OPTIONS", write === "POST" ? "PUT" : "POST"]) {
      const refused = await ask(target("method"), { method });
      expect([method, refused.status]).toEqual([method, 405]);
      expect(refused.headers.get("allow")).toBe(`GET, HEAD, ${write}`);
      const type = dialect.isText ? "text/plain; charset=utf-8" : "application/json";
      expect(refused.headers.get("content-type")).toBe(type);
    }
  });

  test("a body over the limit is refused before it has come, and nothing is stored", async () => {
    const tooLarge = String(dialect.limitBytes + 1);
    await using connection = await connect(server.port);
    await connection.send(head(`${write} ${target("large")}`, `Content-Length: ${tooLarge}`));
    const refused = await connection.answer();
    expect(refused.status).toBe(dialect.isText ? 403 : 413);
    expect((await ask(target("large"))).status).toBe(404);
  });

  async function rawRequestToHead(text: string) {
    await using connection = await connect(server.port);
    await connection.send(text);
    return await connection.answer({ toHead: true });
  }
});

test("the same id under different tools and namespaces is different artifacts", async () => {
  for (const dialect of dialects.filter(({ name }) => !name.startsWith("stock Gradle with"))) {
    await ask(targetOf(dialect, "shared"), { method: dialect.write, body: dialect.name });
  }
  await ask("/api/cache/gradle/shared?tenant_id=acme&namespace_id=other", {
    method: "PUT",
    body: "other",
  });
  for (const dialect of dialects.filter(({ name }) => !name.startsWith("stock Gradle with"))) {
    expect(await (await ask(targetOf(dialect, "shared"))).text()).toBe(dialect.name);
  }
});

test("Gradle's stock path with tenant and namespace is the scope of the query", async () => {
  await ask("/cache/Acme/iOS/both", { method: "PUT", body: "stock" });
  const got = await ask("/api/cache/gradle/both?tenant_id=acme&namespace_id=ios");
  expect(await got.text()).toBe("stock");
});

test("Gradle's stock path without a scope, Nx and Metro use fixed namespaces of the node's tenant", async () => {
  await ask("/cache/fixed", { method: "PUT", body: "gradle" });
  await ask("/v1/cache/fixed", { method: "PUT", body: "nx" });
  await ask("/api/metro/cache/fixed", { method: "PUT", body: "metro" });
  const gradle = await ask("/api/cache/gradle/fixed?tenant_id=default&namespace_id=gradle");
  expect(await gradle.text()).toBe("gradle");
  for (const namespace of ["nx", "metro"]) {
    const clean = `/api/cache/clean?tenant_id=default&namespace_id=${namespace}`;
    expect((await ask(clean, { method: "DELETE" })).status).toBe(204);
  }
  expect((await ask("/v1/cache/fixed")).status).toBe(404);
  expect((await ask("/api/metro/cache/fixed")).status).toBe(404);
});
