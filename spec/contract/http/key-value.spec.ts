import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, head } from "../../support/raw-http.ts";
import { type SpecServer, startServer } from "../../support/server.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const query = "?tenant_id=acme&namespace_id=ios";
const put = (body: BodyInit, suffix = query): Promise<Response> =>
  fetch(`${server.url}/api/cache/keyvalue${suffix}`, { method: "PUT", body });
const get = (id: string, suffix = query): Promise<Response> =>
  fetch(`${server.url}/api/cache/keyvalue/${id}${suffix}`);

test("a document comes back with both of its fields and its entries in order", async () => {
  const document = { cas_id: "0~a=", entries: [{ value: "b" }, { value: "a" }, { value: "b" }] };
  const stored = await put(JSON.stringify(document));
  expect([stored.status, await stored.text()]).toEqual([204, ""]);
  const got = await get("0~a%3D");
  expect(got.status).toBe(200);
  expect(got.headers.get("content-type")).toBe("application/json");
  expect(await got.text()).toBe(JSON.stringify(document));
  const headed = await fetch(`${server.url}/api/cache/keyvalue/0~a=${query}`, { method: "HEAD" });
  expect([headed.status, headed.headers.get("content-length")]).toEqual([
    200,
    String(JSON.stringify(document).length),
  ]);
});

test("each write replaces the one before", async () => {
  for (const value of ["one", "two", "three"]) {
    expect((await put(JSON.stringify({ cas_id: "replaced", entries: [{ value }] }))).status).toBe(
      204,
    );
    const got = (await (await get("replaced")).json()) as { entries: unknown };
    expect(got.entries).toEqual([{ value }]);
  }
});

test("empty entries and unknown fields are accepted, and what is unknown is not kept", async () => {
  const body = `{"other":{"deep":[[[1]]]},"cas_id":"lenient","entries":[{"value":"v","x":1}],"__proto__":{"a":1}}`;
  expect((await put(body)).status).toBe(204);
  expect(await (await get("lenient")).text()).toBe(
    `{"cas_id":"lenient","entries":[{"value":"v"}]}`,
  );
  expect((await put(`{"cas_id":"none","entries":[]}`)).status).toBe(204);
  expect(await (await get("none")).text()).toBe(`{"cas_id":"none","entries":[]}`);
});

test("the content type of the request does not matter", async () => {
  const answer = await fetch(`${server.url}/api/cache/keyvalue${query}`, {
    method: "PUT",
    headers: { "content-type": "text/plain" },
    body: `{"cas_id":"plain","entries":[]}`,
  });
  expect(answer.status).toBe(204);
});

test.each([
  ["nothing", ""],
  ["no JSON", "{"],
  ["bytes that are not UTF-8", Buffer.from([0x7b, 0xff, 0x7d])],
  ["an array", "[]"],
  ["null", "null"],
  ["a text", `"x"`],
  ["no cas_id", `{"entries":[]}`],
  ["a number as cas_id", `{"cas_id":1,"entries":[]}`],
  ["an empty cas_id", `{"cas_id":"","entries":[]}`],
  ["a cas_id with a slash", `{"cas_id":"a/b","entries":[]}`],
  ["a cas_id of two dots", `{"cas_id":"..","entries":[]}`],
  ["a cas_id with a lone surrogate", `{"cas_id":"a\\ud800","entries":[]}`],
  ["a cas_id of 513 bytes", JSON.stringify({ cas_id: "a".repeat(513), entries: [] })],
  ["no entries", `{"cas_id":"a"}`],
  ["an object as entries", `{"cas_id":"a","entries":{}}`],
  ["an entry without a value", `{"cas_id":"a","entries":[{}]}`],
  ["an entry that is null", `{"cas_id":"a","entries":[null]}`],
  ["a number as a value", `{"cas_id":"a","entries":[{"value":1}]}`],
  ["the fields on a prototype", `{"__proto__":{"cas_id":"a","entries":[]}}`],
  ["100,000 nested arrays", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
  [
    "deep nesting in an unknown field",
    `{"cas_id":"a","entries":[],"x":${"[".repeat(40)}${"]".repeat(40)}}`,
  ],
])("a body with %s is 400 with a message", async (_, body) => {
  const refused = await put(body);
  expect(refused.status).toBe(400);
  expect(refused.headers.get("content-type")).toBe("application/json");
  expect(typeof ((await refused.json()) as { message: unknown }).message).toBe("string");
  expect(({} as { cas_id?: unknown }).cas_id).toBeUndefined();
});

test("a body over the limit is 413, whether its length is declared or not", async () => {
  const body = JSON.stringify({ cas_id: "big", entries: [{ value: "x".repeat(1_048_576) }] });
  expect((await put(body)).status).toBe(413);
  await using connection = await connect(server.port);
  await connection.send(head(`PUT /api/cache/keyvalue${query}`, "Transfer-Encoding: chunked"));
  await connection.send(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`);
  expect((await connection.answer()).status).toBe(413);
  await connection.send(head(`GET /api/cache/keyvalue/big${query}`));
  expect((await connection.answer()).status).toBe(404);
});

test("a document of exactly the limit is stored", async () => {
  const frame = JSON.stringify({ cas_id: "full", entries: [{ value: "" }] }).length;
  const body = JSON.stringify({
    cas_id: "full",
    entries: [{ value: "x".repeat(1_048_576 - frame) }],
  });
  expect(body.length).toBe(1_048_576);
  expect((await put(body)).status).toBe(204);
  expect(await (await get("full")).text()).toBe(body);
});

test("scope rules hold: a missing tenant is 400, namespaces are apart", async () => {
  const body = `{"cas_id":"scoped","entries":[]}`;
  expect((await put(body, "")).status).toBe(400);
  expect((await put(body)).status).toBe(204);
  expect((await get("scoped", "")).status).toBe(400);
  expect((await get("scoped", "?tenant_id=acme")).status).toBe(404);
});

test("the two paths have their own methods", async () => {
  const collection = await fetch(`${server.url}/api/cache/keyvalue${query}`);
  expect([collection.status, collection.headers.get("allow")]).toEqual([405, "PUT"]);
  const entry = await fetch(`${server.url}/api/cache/keyvalue/x${query}`, {
    method: "PUT",
    body: "{}",
  });
  expect([entry.status, entry.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
});
