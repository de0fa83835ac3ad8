import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sha256 } from "../../../runtime/base/digest.ts";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import {
  completeModule,
  getModule,
  headModule,
  moduleQuery,
  openUpload,
  partBody,
  sendPart,
  startModule,
  startUpload,
  uploadModule,
} from "../../support/module-client.ts";
import { connect, head, rawRequest } from "../../support/raw-http.ts";
import { eventually, type SpecServer, startServer } from "../../support/server.ts";
import { largeFiles } from "./files.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const ask = (target: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${server.url}${target}`, init);

async function messageOf(answer: Response): Promise<string> {
  expect(answer.headers.get("content-type")).toBe("application/json");
  return ((await answer.json()) as { message: string }).message;
}

function complete(id: string, document: unknown): Promise<Response> {
  return completeModule(server.url, { id, document });
}

function part(id: string, number: number | string, body: BodyInit): Promise<Response> {
  return sendPart(server.url, { id, number, body });
}

function completeRaw(id: string, body: BodyInit, contentType: string | null): Promise<Response> {
  const headers = contentType === null ? {} : { "content-type": contentType };
  return ask(`/api/cache/module/complete?upload_id=${id}`, {
    method: "POST",
    // A text would bring a content type of its own.
    body: typeof body === "string" ? new TextEncoder().encode(body) : body,
    headers,
  });
}

const hex = (bytes: Uint8Array): string => Buffer.from(sha256(bytes)).toString("hex");

describe("a module", () => {
  test("goes through the sequence of the reference: start, two parts, complete, download", async () => {
    const module = { hash: "hash-1" };
    const started = await startModule(server.url, module);
    expect([started.status, started.headers.get("content-type")]).toEqual([
      200,
      "application/json",
    ]);
    const { upload_id: id } = (await started.json()) as { upload_id: string };
    expect(await headModule(server.url, module)).toBe(404);
    for (const [number, text] of [
      [1, "part-one-"],
      [2, "part-two"],
    ] as const) {
      const sent = await part(id, number, text);
      expect([sent.status, await sent.text()]).toEqual([204, ""]);
    }
    expect((await getModule(server.url, module)).status).toBe(404);
    const completed = await complete(id, { parts: [1, 2] });
    expect([completed.status, await completed.text()]).toEqual([204, ""]);
    const got = await getModule(server.url, module);
    expect([got.status, await got.text()]).toEqual([200, "part-one-part-two"]);
    expect(await startUpload(server.url, module)).toBeNull();
    expect((await complete(id, { parts: [1, 2] })).status).toBe(404);
    expect((await part(id, 1, "late")).status).toBe(404);
  });

  test("of any size comes back byte for byte, and downloads like other artifacts", async () => {
    for (const sizesBytes of [
      [0],
      [1, 0, 5],
      [16 * KiB, 17 * KiB],
      [MiB, 1],
      [10 * MiB, 3 * MiB],
    ]) {
      const module = { hash: `sizes-${sizesBytes.join("-")}` };
      const parts = sizesBytes.map((sizeBytes, i) => partBody(i, sizeBytes));
      await uploadModule(server.url, module, parts);
      const whole = Buffer.concat(parts);
      const got = await getModule(server.url, module);
      expect(got.status).toBe(200);
      expect(Buffer.compare(Buffer.from(await got.arrayBuffer()), whole)).toBe(0);
      expect(got.headers.get("content-type")).toBe("application/octet-stream");
      expect(got.headers.get("content-length")).toBe(String(whole.length));
      expect(got.headers.get("etag")).toMatch(/^"\d+-\d+"$/);
      expect(got.headers.get("tuist-checksum-sha256")).toBeNull();
      if (whole.length < 4) continue;
      const ranged = await getModule(server.url, module, { headers: { range: "bytes=1-3" } });
      expect(ranged.status).toBe(206);
      expect(Buffer.from(await ranged.arrayBuffer())).toEqual(whole.subarray(1, 4));
    }
    expect(largeFiles(server.dataDir)).toBe(2);
    await eventually("no part is left", async () => {
      return (await server.metric("kura_multipart_part_bytes")) === 0;
    });
  });

  test("has its parts in the order of their numbers, with gaps and from 0 on", async () => {
    const id = await openUpload(server.url, { hash: "gaps" });
    for (const number of [4_294_967_295, 7, 0, 2]) await part(id, number, `${number};`);
    expect((await complete(id, { parts: [0, 2, 7, 4_294_967_295] })).status).toBe(204);
    const got = await getModule(server.url, { hash: "gaps" });
    expect(await got.text()).toBe("0;2;7;4294967295;");
  });

  test("has the last of the parts that were sent under one number", async () => {
    const id = await openUpload(server.url, { hash: "again" });
    await part(id, 1, "first and longer");
    await part(id, 2, "-tail");
    await part(id, 1, "second");
    expect((await complete(id, { parts: [1, 2] })).status).toBe(204);
    expect(await (await getModule(server.url, { hash: "again" })).text()).toBe("second-tail");
  });

  test("may come in chunks of unknown length", async () => {
    const id = await openUpload(server.url, { hash: "chunked" });
    await using connection = await connect(server.port);
    const line = `POST /api/cache/module/part?upload_id=${id}&part_number=1`;
    await connection.send(head(line, "Transfer-Encoding: chunked"));
    await connection.send("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    expect((await connection.answer()).status).toBe(204);
    expect((await complete(id, { parts: [1] })).status).toBe(204);
    expect(await (await getModule(server.url, { hash: "chunked" })).text()).toBe("hello world");
  });
});

describe("the name of a module", () => {
  test("is its category, hash and name in its scope; the id in the path says nothing", async () => {
    const module = { hash: "named", name: "A", category: "tests" };
    await uploadModule(server.url, module, [partBody(1, 10)]);
    expect(await headModule(server.url, module)).toBe(204);
    for (const change of [
      { hash: "other" },
      { name: "B" },
      { category: "builds" },
      { namespace: "android" },
      { tenant: "other" },
    ]) {
      expect([change, await headModule(server.url, { ...module, ...change })]).toEqual([
        change,
        404,
      ]);
    }
    const query = moduleQuery(module);
    for (const id of ["x", "anything%20else", "hash-1"]) {
      expect((await ask(`/api/cache/module/${id}?${query}`)).status).toBe(200);
    }
    const aliases = "account_handle=ACME&project_handle=iOS&hash=named&name=A&cache_category=tests";
    expect((await ask(`/api/cache/module/x?${aliases}`, { method: "HEAD" })).status).toBe(204);
  });

  test("has the category builds when it has none", async () => {
    await uploadModule(server.url, { hash: "plain", name: "P" }, [partBody(1, 10)]);
    const query = "tenant_id=acme&namespace_id=ios&hash=plain&name=P";
    expect((await ask(`/api/cache/module/x?${query}`)).status).toBe(200);
    const started = await ask(`/api/cache/module/start?${query}`, { method: "POST" });
    expect(await started.json()).toEqual({ upload_id: null });
  });

  test("is refused when a part of it is missing, repeated or no id", async () => {
    const scope = "tenant_id=acme&namespace_id=ios";
    const queries = [
      "hash=h&name=n",
      `${scope}&hash=h`,
      `${scope}&name=n`,
      `${scope}&hash=&name=n`,
      `${scope}&hash=h&name=n&cache_category=`,
      `${scope}&hash=h&hash=i&name=n`,
      `${scope}&hash=a%2Fb&name=n`,
      `${scope}&hash=h&name=..`,
      `${scope}&hash=h&name=n&cache_category=a%00b`,
      `${scope}&hash=h&name=${"n".repeat(513)}`,
      `${scope}&hash=${"h".repeat(400)}&name=${"n".repeat(400)}`,
      `${scope}&hash=%ff&name=n`,
    ];
    for (const query of queries) {
      for (const [method, path] of [
        ["POST", "start"],
        ["GET", "x"],
        ["HEAD", "x"],
      ] as const) {
        const { status } = await ask(`/api/cache/module/${path}?${query}`, { method });
        expect([method, query, status]).toEqual([method, query, 400]);
      }
    }
    expect((await ask(`/api/cache/module/a%2Fb?${scope}&hash=h&name=n`)).status).toBe(400);
    expect((await ask(`/api/cache/module/?${scope}&hash=h&name=n`)).status).toBe(400);
  });
});

describe("the routes", () => {
  test("HEAD is 204 or 404 without a body, unlike HEAD elsewhere", async () => {
    await uploadModule(server.url, { hash: "headed" }, [partBody(1, 10)]);
    const target = (hash: string): string => `/api/cache/module/x?${moduleQuery({ hash })}`;
    const there = await rawRequest(server.port, head(`HEAD ${target("headed")}`));
    expect([there.status, there.headers.get("accept-ranges")]).toEqual([204, "bytes"]);
    expect(there.headers.get("x-request-id")).toBeDefined();
    await using connection = await connect(server.port);
    await connection.send(head(`HEAD ${target("absent")}`));
    expect((await connection.answer({ toHead: true })).status).toBe(404);
  });

  test("start, part and complete are POST only, and no downloads", async () => {
    for (const name of ["start", "part", "complete"]) {
      for (const method of ["GET", "HEAD", "PUT", "DELETE"]) {
        const refused = await ask(`/api/cache/module/${name}?${moduleQuery({ hash: "h" })}`, {
          method,
        });
        expect([name, method, refused.status]).toEqual([name, method, 405]);
        expect(refused.headers.get("allow")).toBe("POST");
      }
    }
    const refused = await ask("/api/cache/module/some-id", { method: "POST" });
    expect([refused.status, refused.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });
});

describe("a part", () => {
  test.each(["", "x", "-1", "1.5", "4294967296", "1e3"])("has no number %j", async (number) => {
    const id = await openUpload(server.url, { hash: `number-${encodeURIComponent(number)}` });
    const refused = await part(id, number, "body");
    expect([refused.status, await messageOf(refused)]).toEqual([
      400,
      expect.stringContaining("part_number"),
    ]);
  });

  test("needs an upload that is open", async () => {
    for (const query of ["part_number=1", "upload_id=x"]) {
      const { status } = await ask(`/api/cache/module/part?${query}`, { method: "POST" });
      expect([query, status]).toEqual([query, 400]);
    }
    const unknown = await part("0".repeat(32), 1, "body");
    expect([unknown.status, await messageOf(unknown)]).toEqual([
      404,
      expect.stringContaining("no such upload"),
    ]);
  });

  test("has 10 MiB at most: refused before it has come, or when it turns out larger", async () => {
    const id = await openUpload(server.url, { hash: "too-large" });
    await using early = await connect(server.port);
    const line = `POST /api/cache/module/part?upload_id=${id}&part_number=1`;
    await early.send(head(line, `Content-Length: ${10 * MiB + 1}`));
    expect((await early.answer()).status).toBe(413);
    const body = partBody(1, 10 * MiB + 1);
    await using late = await connect(server.port);
    await late.send(head(line, "Transfer-Encoding: chunked"));
    await late.send(`${body.length.toString(16)}\r\n`);
    await late.send(body);
    await late.send("\r\n0\r\n\r\n");
    expect((await late.answer()).status).toBe(413);
    expect((await part(id, 1, body.subarray(1))).status).toBe(204);
    expect((await complete(id, { parts: [1] })).status).toBe(204);
  });

  test("that broke off is no part, and leaves nothing behind", async () => {
    const id = await openUpload(server.url, { hash: "broken" });
    await part(id, 1, "whole");
    const before = await server.metric("kura_multipart_part_bytes");
    const line = `POST /api/cache/module/part?upload_id=${id}&part_number=1`;
    for (const sizeBytes of [10 * KiB, 5 * MiB]) {
      const connection = await connect(server.port);
      await connection.send(head(line, `Content-Length: ${sizeBytes}`));
      await connection.send(partBody(1, sizeBytes / 2));
      connection.destroy();
    }
    await eventually("both requests have ended", () => server.life.httpInflight === 0);
    const aborted = `kura_multipart_parts_total{result="client_aborted"}`;
    expect(await server.metric(aborted)).toBe(2);
    expect(await server.metric("kura_multipart_part_bytes")).toBe(before);
    expect((await complete(id, { parts: [1] })).status).toBe(204);
    expect(await (await getModule(server.url, { hash: "broken" })).text()).toBe("whole");
  });
});

describe("a completion", () => {
  test("names exactly the parts that are there, in ascending order", async () => {
    const id = await openUpload(server.url, { hash: "exact" });
    expect((await complete(id, { parts: [] })).status).toBe(400);
    for (const number of [1, 2, 5]) await part(id, number, String(number));
    for (const parts of [[], [1, 2], [2, 1, 5], [1, 2, 5, 6], [1, 1, 2, 5], [1, 2, 4]]) {
      const refused = await complete(id, { parts });
      expect([parts, refused.status]).toEqual([parts, 400]);
    }
    expect(await headModule(server.url, { hash: "exact" })).toBe(404);
    expect((await complete(id, { parts: [1, 2, 5] })).status).toBe(204);
  });

  test("is JSON of the right kind, shape and size", async () => {
    const id = await openUpload(server.url, { hash: "json" });
    await part(id, 1, "body");
    const good = `{"parts":[1]}`;
    for (const type of [null, "text/plain", "application/octet-stream", "application/jsonx"]) {
      expect([type, (await completeRaw(id, good, type)).status]).toEqual([type, 415]);
    }
    for (const [body, status] of [
      ["", 400],
      ["{", 400],
      [`{"parts":[1],"checksum_sha256":"xyz"}`, 400],
      ["[1]", 422],
      ["{}", 422],
      [`{"parts":["1"]}`, 422],
      [`{"parts":[1],"checksum_sha256":1}`, 422],
      [" ".repeat(2 * MiB) + good, 413],
    ] as const) {
      const answer = await completeRaw(id, body, "application/json");
      expect([body.slice(0, 40), answer.status]).toEqual([body.slice(0, 40), status]);
      expect(await messageOf(answer)).not.toBe("");
    }
    const type = "application/vnd.kura+json; charset=utf-8";
    expect((await completeRaw(id, ` ${good} `, type)).status).toBe(204);
  });

  test("needs an upload that is open", async () => {
    const answer = await ask("/api/cache/module/complete", { method: "POST" });
    expect(answer.status).toBe(400);
    expect((await complete("nobody", { parts: [1] })).status).toBe(404);
  });

  test("with a checksum stores what has it, and gives it back with the module", async () => {
    for (const sizesBytes of [
      [100, 50],
      [MiB, MiB, 5],
    ]) {
      const module = { hash: `sum-${sizesBytes.length}` };
      const parts = sizesBytes.map((sizeBytes, i) => partBody(i, sizeBytes));
      const right = hex(Buffer.concat(parts));
      const id = await openUpload(server.url, module);
      for (const [i, body] of parts.entries()) await part(id, i, body);
      const numbers = parts.map((_, i) => i);
      const before = largeFiles(server.dataDir);
      const wrong = await complete(id, { parts: numbers, checksum_sha256: "0".repeat(64) });
      expect([wrong.status, await headModule(server.url, module)]).toEqual([422, 404]);
      expect(largeFiles(server.dataDir)).toBe(before);
      const done = await complete(id, { parts: numbers, checksum_sha256: right });
      expect(done.status).toBe(204);
      const got = await getModule(server.url, module);
      expect(got.headers.get("tuist-checksum-sha256")).toBe(right);
      expect(hex(new Uint8Array(await got.arrayBuffer()))).toBe(right);
    }
  });

  test("is answered 204 when the module appeared meanwhile, and the first one stays", async () => {
    const [first, second] = [
      await openUpload(server.url, { hash: "twice" }),
      await openUpload(server.url, { hash: "twice" }),
    ];
    await part(first, 1, "first");
    await part(second, 1, "second");
    expect((await complete(first, { parts: [1] })).status).toBe(204);
    expect((await complete(second, { parts: [1] })).status).toBe(204);
    expect(await (await getModule(server.url, { hash: "twice" })).text()).toBe("first");
    expect((await complete(second, { parts: [1] })).status).toBe(404);
  });
});

test("part and complete belong to the scope of the start, whatever their own query says", async () => {
  const id = await openUpload(server.url, { hash: "scoped" });
  const query = "&tenant_id=evil&namespace_id=evil&hash=other&name=other";
  const sent = await sendPart(server.url, { id, number: 1, body: "mine", query });
  expect(sent.status).toBe(204);
  const done = await completeModule(server.url, { id, document: { parts: [1] }, query });
  expect(done.status).toBe(204);
  expect(await (await getModule(server.url, { hash: "scoped" })).text()).toBe("mine");
  const evil = { hash: "other", name: "other", tenant: "evil", namespace: "evil" };
  expect(await headModule(server.url, evil)).toBe(404);
});

test("a clean empties modules like everything else, and an upload that began before it is a new write", async () => {
  const module = { hash: "cleaned", namespace: "cleanable" };
  await uploadModule(server.url, module, [partBody(1, 10)]);
  const pending = await openUpload(server.url, { ...module, hash: "pending" });
  await part(pending, 1, "later");
  const clean = "/api/cache/clean?tenant_id=acme&namespace_id=cleanable";
  expect((await ask(clean, { method: "DELETE" })).status).toBe(204);
  expect(await headModule(server.url, module)).toBe(404);
  expect((await complete(pending, { parts: [1] })).status).toBe(204);
  expect(await headModule(server.url, { ...module, hash: "pending" })).toBe(204);
});

test("parts, uploads and modules are counted", async () => {
  const before = await server.metric(`kura_multipart_parts_total{result="ok"}`);
  const open = await server.metric("kura_multipart_uploads_active");
  const bytes = await server.metric("kura_multipart_part_bytes");
  const stored = `kura_artifact_writes_total{producer="module",kind="module",artifact_class="pointer"`;
  const id = await openUpload(server.url, { hash: "counted" });
  await part(id, 1, "12345");
  await part(id, 2, "678");
  expect(await server.metric(`kura_multipart_parts_total{result="ok"}`)).toBe(before + 2);
  expect(await server.metric("kura_multipart_uploads_active")).toBe(open + 1);
  expect(await server.metric("kura_multipart_part_bytes")).toBe(bytes + 8);
  await complete(id, { parts: [1, 2] });
  expect(await server.metric("kura_multipart_uploads_active")).toBe(open);
  expect(await server.metric(stored)).toBeGreaterThan(0);
});
