import { afterAll, beforeAll, expect, test } from "bun:test";
import { MiB } from "../../../runtime/base/units.ts";
import { type SpecServer, startServer } from "../../support/server.ts";
import { patterned } from "./dialects.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
  await store("small", patterned(1_000));
  await store("large", patterned(3 * MiB));
  await store("nothing", Buffer.alloc(0));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const urlOf = (id: string): string => `${server.url}/api/cache/gradle/${id}?tenant_id=t`;
const store = (id: string, body: Buffer): Promise<Response> =>
  fetch(urlOf(id), { method: "PUT", body: new Uint8Array(body) });
const get = (id: string, headers: Record<string, string>): Promise<Response> =>
  fetch(urlOf(id), { headers });

test.each([
  ["bytes=0-0", 0, 0],
  ["bytes=10-19", 10, 19],
  ["bytes=10-", 10, 999],
  ["bytes=0-", 0, 999],
  ["bytes=990-5000", 990, 999],
  ["bytes=-1", 999, 999],
  ["bytes=-5000", 0, 999],
  ["BYTES=1-2", 1, 2],
])("%s is the part from %d to %d", async (range, first, last) => {
  const got = await get("small", { range });
  expect(got.status).toBe(206);
  expect(got.headers.get("content-range")).toBe(`bytes ${first}-${last}/1000`);
  expect(got.headers.get("content-length")).toBe(String(last - first + 1));
  expect(got.headers.get("accept-ranges")).toBe("bytes");
  expect(got.headers.get("etag")).toMatch(/^"\d+-1000"$/);
  const bytes = Buffer.from(await got.arrayBuffer());
  expect(Buffer.compare(bytes, patterned(1_000).subarray(first, last + 1))).toBe(0);
});

test("a part of a large artifact is exact at both ends", async () => {
  const whole = patterned(3 * MiB);
  for (const [start, end] of [
    [0, MiB],
    [262_143, 262_146],
    [MiB + 1, 3 * MiB],
  ] as const) {
    const got = await get("large", { range: `bytes=${start}-${end - 1}` });
    expect([got.status, got.headers.get("content-length")]).toEqual([206, String(end - start)]);
    const bytes = Buffer.from(await got.arrayBuffer());
    expect(Buffer.compare(bytes, whole.subarray(start, end))).toBe(0);
  }
});

test.each(["bytes=1000-", "bytes=5000-6000", "bytes=-0", "bytes=9-8"])(
  "%s is not satisfiable",
  async (range) => {
    const got = await get("small", { range });
    expect([got.status, got.headers.get("content-range")]).toEqual([416, "bytes */1000"]);
    expect(got.headers.get("accept-ranges")).toBe("bytes");
    expect(got.headers.get("content-type")).toBe("application/json");
    expect(typeof ((await got.json()) as { message: unknown }).message).toBe("string");
  },
);

test("every range on an empty artifact is not satisfiable", async () => {
  for (const range of ["bytes=0-", "bytes=0-0", "bytes=-1"]) {
    const got = await get("nothing", { range });
    expect([range, got.status, got.headers.get("content-range")]).toEqual([
      range,
      416,
      "bytes */0",
    ]);
  }
});

test.each([
  "bytes=0-1,3-4",
  "items=0-1",
  "bytes",
  "bytes=",
  "bytes=-",
  "bytes=a-b",
  "0-1",
  "bytes=1-2x",
])("%s is answered whole", async (range) => {
  const got = await get("small", { range });
  expect([got.status, got.headers.get("content-length")]).toEqual([200, "1000"]);
  expect(got.headers.get("content-range")).toBeNull();
});

test("If-Range applies the range only while it names the present version", async () => {
  const etag = (await get("small", {})).headers.get("etag") ?? "";
  const same = await get("small", { range: "bytes=0-1", "if-range": ` ${etag} ` });
  expect(same.status).toBe(206);
  for (const other of [`"1-1000"`, `W/${etag}`, "Sun, 22 Nov 2026 00:00:00 GMT", ""]) {
    const whole = await get("small", { range: "bytes=0-1", "if-range": other });
    expect([other, whole.status]).toEqual([other, 200]);
  }
  const hopeless = await get("small", { range: "bytes=5000-", "if-range": `"1-1000"` });
  expect([hopeless.status, hopeless.headers.get("content-length")]).toEqual([200, "1000"]);
});

test("an artifact that was cleaned and written again has another ETag", async () => {
  const url = `${server.url}/api/cache/gradle/again?tenant_id=t&namespace_id=reborn`;
  await fetch(url, { method: "PUT", body: "same size 1" });
  const before = (await fetch(url)).headers.get("etag") ?? "";
  await fetch(`${server.url}/api/cache/clean?tenant_id=t&namespace_id=reborn`, {
    method: "DELETE",
  });
  await fetch(url, { method: "PUT", body: "same size 2" });
  const resumed = await fetch(url, { headers: { range: "bytes=5-", "if-range": before } });
  expect([resumed.status, await resumed.text()]).toEqual([200, "same size 2"]);
});

test("If-None-Match and If-Modified-Since are ignored", async () => {
  const etag = (await get("small", {})).headers.get("etag") ?? "";
  const headers = { "if-none-match": etag, "if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT" };
  expect((await get("small", headers)).status).toBe(200);
});
