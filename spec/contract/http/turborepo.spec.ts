import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { GiB, KiB, MiB } from "../../../runtime/base/units.ts";
import { connect, head } from "../../support/raw-http.ts";
import { eventually, type SpecServer, startServer } from "../../support/server.ts";
import { patterned } from "./dialects.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const hash = "6f2d1c6a0b9e8d7f";
const ask = (target: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${server.url}/v8/artifacts${target}`, init);
const put = (target: string, body: BodyInit, headers: HeadersInit = {}): Promise<Response> =>
  ask(target, { method: "PUT", body, headers });
const post = (target: string, document: unknown): Promise<Response> =>
  ask(target, { method: "POST", body: JSON.stringify(document) });
const text = async (target: string): Promise<string> => (await ask(target)).text();

test("the status says that the cache is on, whoever asks", async () => {
  for (const query of ["", "?slug=acme", "?teamId=team_x&slug=acme"]) {
    const answer = await ask(`/status${query}`);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "application/json"]);
    expect(await answer.json()).toEqual({ status: "enabled" });
  }
});

describe("an artifact", () => {
  test.each([0, 1, 100 * KiB, MiB, 3 * MiB])(
    "of %d bytes comes back byte for byte with duration and tag",
    async (sizeBytes) => {
      const body = patterned(sizeBytes);
      const headers = { "x-artifact-duration": "1234", "x-artifact-tag": "c2lnbmVk+/=" };
      const stored = await put(`/size${sizeBytes}?slug=acme`, body, headers);
      expect([stored.status, await stored.json()]).toEqual([202, { urls: [] }]);
      for (const method of ["GET", "HEAD"]) {
        const got = await ask(`/size${sizeBytes}?slug=acme`, { method });
        expect(got.status).toBe(200);
        expect(got.headers.get("x-artifact-duration")).toBe("1234");
        expect(got.headers.get("x-artifact-tag")).toBe("c2lnbmVk+/=");
        expect(got.headers.get("content-length")).toBe(String(sizeBytes));
        expect(got.headers.get("content-type")).toBe("application/octet-stream");
        const bytes = Buffer.from(await got.arrayBuffer());
        expect(bytes.equals(method === "GET" ? body : Buffer.alloc(0))).toBe(true);
      }
    },
  );

  test("without duration and tag has no such headers, and a declared checksum stands beside them", async () => {
    await put("/bare", "x");
    const bare = await ask("/bare");
    for (const name of ["x-artifact-duration", "x-artifact-tag", "tuist-checksum-sha256"]) {
      expect(bare.headers.has(name)).toBe(false);
    }
    const checksum = new Bun.CryptoHasher("sha256").update("x").digest("hex");
    const headers = {
      "x-artifact-duration": "0",
      "x-artifact-tag": "t".repeat(600),
      "tuist-checksum-sha256": checksum,
    };
    expect((await put("/all", "x", headers)).status).toBe(202);
    const all = await ask("/all");
    for (const [name, value] of Object.entries(headers)) expect(all.headers.get(name)).toBe(value);
  });

  test("is replaced by every write, with what stood beside it", async () => {
    await put("/twice", "unsigned, and longer", { "x-artifact-duration": "5" });
    expect((await put("/twice", "signed", { "x-artifact-tag": "tag" })).status).toBe(202);
    const got = await ask("/twice");
    expect(await got.text()).toBe("signed");
    expect(got.headers.get("x-artifact-tag")).toBe("tag");
    expect(got.headers.has("x-artifact-duration")).toBe(false);
  });

  test("that is not there is a miss with a JSON body", async () => {
    const missed = await ask("/absent?slug=acme");
    expect(missed.status).toBe(404);
    expect(await missed.json()).toEqual({ message: "There is no artifact under this key" });
    expect((await ask("/absent", { method: "HEAD" })).status).toBe(404);
  });

  test.each([
    ["x-artifact-duration", ["", "-1", "1.5", "1e3", "0x10", "9007199254740993", "1, 2", "soon"]],
    ["x-artifact-tag", ["", "t".repeat(601), "t\u00e9", "a\tb"]],
  ])("with a broken %s is refused and nothing is stored", async (name, values) => {
    for (const value of values) {
      await using connection = await connect(server.port);
      const headers = ["Content-Length: 1", `${name}: ${value}`];
      await connection.send(`${head("PUT /v8/artifacts/broken", ...headers)}x`);
      expect([value, (await connection.answer()).status]).toEqual([value, 400]);
    }
    expect((await ask("/broken")).status).toBe(404);
  });

  test("with the longest duration that a number holds is kept", async () => {
    await put("/long", "x", { "x-artifact-duration": "9007199254740991" });
    expect((await ask("/long")).headers.get("x-artifact-duration")).toBe("9007199254740991");
  });

  test("over the limit is refused before it has come", async () => {
    await using connection = await connect(server.port);
    await connection.send(head("PUT /v8/artifacts/large", `Content-Length: ${2 * GiB + 1}`));
    expect((await connection.answer()).status).toBe(413);
  });

  test.each([
    ["nothing", "/"],
    ["an escaped slash", "/a%2Fb"],
    ["a slash", "/a/b"],
    ["NUL", "/a%00b"],
    ["broken UTF-8", "/%ff"],
    ["513 bytes", `/${"h".repeat(513)}`],
  ])("whose hash is or has %s is refused", async (_, target) => {
    expect((await put(target, "x")).status).toBe(400);
    expect((await ask(target)).status).toBe(400);
  });

  test("has no other methods than its own", async () => {
    const refused = await ask(`/${hash}`, { method: "DELETE" });
    expect([refused.status, refused.headers.get("allow")]).toEqual([405, "GET, HEAD, PUT"]);
    expect((await put("/status", "x")).headers.get("allow")).toBe("GET");
    expect((await ask("/events")).headers.get("allow")).toBe("POST");
    expect((await ask("")).headers.get("allow")).toBe("POST");
  });
});

describe("the team", () => {
  test("is a namespace of the node's tenant: by id, else by slug, else one for all", async () => {
    await put("/scoped?teamId=team_A&slug=acme", "by id");
    await put("/scoped?slug=acme", "by slug");
    await put("/scoped", "by nothing");
    expect(await text("/scoped?teamId=team_a")).toBe("by id");
    expect(await text("/scoped?slug=renamed&teamId=team_A")).toBe("by id");
    expect(await text("/scoped?teamId=&slug=ACME")).toBe("by slug");
    expect(await text("/scoped?slug=")).toBe("by nothing");
    expect((await ask("/scoped?slug=other")).status).toBe(404);

    const clean = (namespace: string): Promise<Response> => {
      const query = `tenant_id=default&namespace_id=${namespace}`;
      return fetch(`${server.url}/api/cache/clean?${query}`, { method: "DELETE" });
    };
    expect((await clean("team_a")).status).toBe(204);
    expect((await ask("/scoped?teamId=team_A&slug=acme")).status).toBe(404);
    expect(await text("/scoped?slug=acme")).toBe("by slug");
    expect((await clean("turborepo")).status).toBe(204);
    expect((await ask("/scoped")).status).toBe(404);
  });

  test.each([
    "?slug=a&slug=b",
    "?teamId=a&teamId=a",
    "?slug=a&teamId=b&slug=a",
    "?slug=a%2Fb",
    "?teamId=x&slug=..",
    "?slug=%zz",
  ])("of the query %s is refused on every route", async (query) => {
    expect((await ask(`/status${query}`)).status).toBe(400);
    expect((await ask(`/${hash}${query}`)).status).toBe(400);
    expect((await put(`/${hash}${query}`, "x")).status).toBe(400);
    expect((await post(`/events${query}`, [])).status).toBe(400);
    expect((await post(query, { hashes: [] })).status).toBe(400);
  });

  test("of the same query text is not mixed up with the scope of another tool", async () => {
    const query = "?slug=one&tenant_id=two";
    await put(`/mixed${query}`, "turborepo");
    const gradle = `${server.url}/api/cache/gradle/mixed${query}`;
    expect((await fetch(gradle)).status).toBe(404);
    await fetch(gradle, { method: "PUT", body: "gradle" });
    expect(await text(`/mixed${query}`)).toBe("turborepo");
  });

  test("may come with parameters that we do not know", async () => {
    await put("/extra?slug=acme&foo=1&foo=2", "x");
    expect(await text("/extra?slug=acme")).toBe("x");
  });
});

describe("events", () => {
  const event = { sessionId: "s", source: "REMOTE", event: "HIT", hash, duration: 12 };

  test("are counted by source and kind, and what we do not know in them is ignored", async () => {
    const { duration: _, ...bare } = event;
    const local = { ...event, source: "LOCAL", event: "MISS", duration: 0 };
    const odd = { ...bare, colour: "red", nested: { a: [1] } };
    const answer = await post("/events?slug=acme", [event, odd, local]);
    expect([answer.status, await answer.json()]).toEqual([200, {}]);
    await post("/events", []);
    const counter = "kura_turborepo_events_total";
    expect(await server.metric(`${counter}{source="REMOTE",event="HIT"}`)).toBe(2);
    expect(await server.metric(`${counter}{source="LOCAL",event="MISS"}`)).toBe(1);
  });

  test.each<[string, unknown]>([
    ["an object", event],
    ["no object in the list", [1]],
    ["null in the list", [null]],
    ["another event", [{ ...event, event: "hit" }]],
    ["another source", [{ ...event, source: "DISK" }]],
    ["no hash", [{ ...event, hash: undefined }]],
    ["a long hash", [{ ...event, hash: "h".repeat(513) }]],
    ["a session that is no text", [{ ...event, sessionId: 1 }]],
    ["a negative duration", [{ ...event, duration: -1 }]],
    ["a duration in words", [{ ...event, duration: "long" }]],
    ["too many", Array.from({ length: 10_001 }, () => 1)],
    ["deep nesting", [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],
  ])("with %s are refused whole", async (_, document) => {
    const hits = `kura_turborepo_events_total{source="REMOTE",event="HIT"}`;
    const before = await server.metric(hits);
    const documents = Array.isArray(document) ? [event, ...document] : document;
    expect((await post("/events", documents)).status).toBe(400);
    expect(await server.metric(hits)).toBe(before);
  });

  test("that are no JSON, or over 1 MiB, are refused", async () => {
    expect((await ask("/events", { method: "POST", body: "[" })).status).toBe(400);
    expect((await ask("/events", { method: "POST", body: "" })).status).toBe(400);
    const large = " ".repeat(MiB + 1);
    expect((await ask("/events", { method: "POST", body: large })).status).toBe(413);
  });
});

describe("the query for many artifacts", () => {
  test("tells size, duration and tag of what is there, and null for the rest", async () => {
    const headers = { "x-artifact-duration": "77", "x-artifact-tag": "signed" };
    await put("/known?slug=query", "12345", headers);
    await put("/plain?slug=query", patterned(2 * MiB));
    await put("/foreign?slug=other", "x");
    const hashes = ["known", "plain", "foreign", "absent", "__proto__", "known"];
    const answer = await post("?slug=query", { hashes, more: 1 });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(
      JSON.stringify({
        known: { size: 5, taskDurationMs: 77, tag: "signed" },
        plain: { size: 2 * MiB, taskDurationMs: 0 },
        foreign: null,
        absent: null,
        ["__proto__"]: null,
      }),
    );
    expect(await (await post("", { hashes: [] })).json()).toEqual({});
  });

  test.each<[string, unknown]>([
    ["a list", []],
    ["no hashes", {}],
    ["a hash that is no text", { hashes: [1] }],
    ["a hash that is no id", { hashes: ["a/b"] }],
    ["too many hashes", { hashes: Array.from({ length: 1_001 }, (_, i) => String(i)) }],
  ])("is refused with %s", async (_, document) => {
    expect((await post("", document)).status).toBe(400);
  });
});

test("reads and writes are booked under Turborepo's own name", async () => {
  const labels = `producer="turborepo",kind="turborepo",artifact_class="pointer"`;
  const line = (family: string, result: string): string =>
    `kura_artifact_${family}_total{${labels},client="other",result="${result}"}`;
  const agent = { "user-agent": "a tool that nobody knows" };
  const before = await server.metric(line("writes", "ok"));
  await put("/booked?slug=books", "x", agent);
  await put("/booked?slug=books", "y", agent);
  expect(await server.metric(line("writes", "ok"))).toBe(before + 2);
  const reads = await server.metric(line("reads", "ok"));
  await (await ask("/booked?slug=books", { headers: agent })).text();
  await eventually("the read is booked", async () => {
    return (await server.metric(line("reads", "ok"))) === reads + 1;
  });
  const route = `kura_http_requests_total{route="/v8/artifacts/{hash}",method="PUT",status="202"}`;
  expect(await server.metric(route)).toBeGreaterThanOrEqual(2);
});
