import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { head, rawRequest } from "../../support/raw-http.ts";
import { type SpecServer, startServer } from "../../support/server.ts";
import { dialects, targetOf } from "./dialects.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const ask = (target: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${server.url}${target}`, init);
const put = (target: string, body: string): Promise<Response> =>
  ask(`/api/cache/gradle/${target}`, { method: "PUT", body });
const read = async (target: string): Promise<string | number> => {
  const got = await ask(`/api/cache/gradle/${target}`);
  return got.status === 200 ? await got.text() : got.status;
};

describe("query parameters", () => {
  test("aliases name the same scope as the canonical names", async () => {
    await put("a?tenant_id=acme&namespace_id=ios", "canonical");
    expect(await read("a?account_handle=acme&project_handle=ios")).toBe("canonical");
    expect(await read("a?tenant_id=acme&project_handle=ios&unknown=1&unknown=2")).toBe("canonical");
  });

  test("the canonical name beats its alias, even when it is empty", async () => {
    await put("b?tenant_id=one&account_handle=two&namespace_id=n&project_handle=m", "x");
    expect(await read("b?tenant_id=one&namespace_id=n")).toBe("x");
    expect(await read("b?tenant_id=two&namespace_id=m")).toBe(404);
    expect(await read("b?tenant_id=&account_handle=one&namespace_id=n")).toBe(400);
    await put("c?tenant_id=one&namespace_id=&project_handle=n", "tenant scope");
    expect(await read("c?tenant_id=one")).toBe("tenant scope");
    expect(await read("c?tenant_id=one&namespace_id=n")).toBe(404);
  });

  test.each([
    "",
    "?",
    "?tenant_id",
    "?tenant_id=",
    "?account_handle=",
    "?tenant_id[]=a",
    "?Tenant_Id=a",
    "?&&&",
  ])("without a tenant (%s) the answer is 400 with a message", async (query) => {
    const refused = await ask(`/api/cache/gradle/x${query}`);
    expect([refused.status, refused.headers.get("content-type")]).toEqual([
      400,
      "application/json",
    ]);
    expect(((await refused.json()) as { message: string }).message).toContain("tenant_id");
  });

  test.each([
    "tenant_id=a&tenant_id=b",
    "tenant_id=a&tenant_id=a",
    "tenant_id=a&tenant%5Fid=a",
    "tenant_id=a&namespace_id=x&namespace_id=x",
    "tenant_id=a&account_handle=a&account_handle=b",
    "tenant_id=a&project_handle=&project_handle=",
  ])("a repeated parameter (%s) is 400", async (query) => {
    expect(await read(`x?${query}`)).toBe(400);
    expect((await put(`x?${query}`, "x")).status).toBe(400);
    const clean = await ask(`/api/cache/clean?${query}`, { method: "DELETE" });
    expect(clean.status).toBe(400);
  });

  test("names are compared without regard to case, after decoding once", async () => {
    await put("d?tenant_id=AcMe&namespace_id=i%4FS%20app", "decoded");
    expect(await read("d?tenant_id=acme&namespace_id=ios+app")).toBe("decoded");
    expect(await read("d?tenant_id=acme&namespace_id=i%254FS%20app")).toBe(404);
  });

  test.each([
    "%",
    "%zz",
    "%ff",
    "%c0%af",
    "%ed%a0%80",
    "a%2Fb",
    "a%5Cb",
    "a%00b",
    ".",
    "..",
    "a".repeat(513),
  ])("a tenant or namespace of %s is 400", async (name) => {
    expect(await read(`x?tenant_id=${name}`)).toBe(400);
    expect(await read(`x?tenant_id=t&namespace_id=${name}`)).toBe(400);
  });
});

describe.each(dialects)("ids of $name", (dialect) => {
  const { write } = dialect;
  const hasSegments = dialect.prefix.startsWith("/cache/");

  test.each([
    "%2F",
    "a%2Fb",
    "a%5Cb",
    "a%00b",
    "%00",
    "%2e%2e%2fetc",
    "%",
    "%2",
    "%zz",
    "%ff",
    "%c0%ae",
    "%c0%af",
    "%ed%a0%80",
    "%f4%90%80%80",
    "%EF%BF%BD",
    "%E2%82",
    "a".repeat(513),
    "%C3%A9".repeat(257),
  ])("%s is 400 and nothing is stored", async (id) => {
    for (const method of [write, "GET"]) {
      const text = head(`${method} ${targetOf(dialect, id)}`, "Content-Length: 0");
      const refused = await rawRequest(server.port, text);
      expect([method, refused.status]).toEqual([method, 400]);
      const type = dialect.isText ? "text/plain; charset=utf-8" : "application/json";
      expect(refused.headers.get("content-type")).toBe(type);
    }
  });

  test.each([".", "..", "%2e", "%2E%2e", ""])("the id %s never reaches an artifact", async (id) => {
    const text = head(`${write} ${targetOf(dialect, id)}`, "Content-Length: 1");
    const refused = await rawRequest(server.port, `${text}x`);
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(refused.status).toBeLessThan(500);
  });

  test("more segments than a key has are a bad id, or no route where a path has several", async () => {
    const target = targetOf({ ...dialect, suffix: `/b/c${dialect.suffix}` }, "a");
    expect((await ask(target)).status).toBe(hasSegments ? 404 : 400);
    const trailing = targetOf({ ...dialect, suffix: `/${dialect.suffix}` }, "a");
    expect((await ask(trailing)).status).toBe(400);
  });

  // Raw, because `fetch` makes a slash of a backslash itself. In the stock path it separates, as Bun reads it.
  test("a backslash never reaches an artifact", async () => {
    for (const method of [write, "GET"]) {
      const line = `${method} ${targetOf(dialect, "a\\b")}`;
      const refused = await rawRequest(server.port, head(line, "Content-Length: 0"));
      expect([method, refused.status]).toEqual([method, 400]);
      const type = dialect.isText ? "text/plain; charset=utf-8" : "application/json";
      expect(refused.headers.get("content-type")).toBe(type);
    }
  });

  test.each([".", "..", "%2e", "%2e%2e"])("the id %s is 400", async (id) => {
    const text = head(`${write} ${targetOf(dialect, id)}`, "Content-Length: 0");
    expect((await rawRequest(server.port, text)).status).toBe(400);
  });

  test.each(["a/..", "a/."])("the path of %s is never walked", async (id) => {
    const text = head(`${write} ${targetOf(dialect, id)}`, "Content-Length: 0");
    expect((await rawRequest(server.port, text)).status).toBe(hasSegments ? 404 : 400);
  });

  test("ids that look alike are kept apart, and long or odd ones work", async () => {
    const ids = [
      "caf%C3%A9",
      "cafe%CC%81",
      "CAF%C3%89",
      "a%0Ab",
      "a%0Db",
      "a%1Bb",
      "-rf",
      "0~a-_b%3D%3D",
      "%25",
      "%2525",
      "a+b",
      "a%20b",
      "a%26b",
      "a%3Fb",
      "a%23b",
      "__proto__",
      "constructor",
      "a;b=1",
      "a".repeat(512),
      "%C3%A9".repeat(256),
    ];
    for (const [i, id] of ids.entries()) {
      const stored = await ask(targetOf(dialect, id), { method: write, body: `body ${i}` });
      expect([id, stored.status]).toEqual([id, dialect.stored]);
    }
    for (const [i, id] of ids.entries()) {
      expect([id, await (await ask(targetOf(dialect, id))).text()]).toEqual([id, `body ${i}`]);
    }
  });

  test("an escaped and a plain spelling are the same id, decoded once", async () => {
    await ask(targetOf(dialect, "spell-%7Ea"), { method: write, body: "spelled" });
    expect(await (await ask(targetOf(dialect, "spell-~a"))).text()).toBe("spelled");
    expect((await ask(targetOf(dialect, "spell-%257Ea"))).status).toBe(404);
  });
});

test("an id of a key-value entry has no slash or backslash either", async () => {
  for (const id of ["a/b", "a\\b", "a/..", "."]) {
    const text = head(`GET /api/cache/keyvalue/${id}?tenant_id=t`);
    expect([id, (await rawRequest(server.port, text)).status]).toEqual([id, 400]);
  }
});

test("a parameter that nobody knows is ignored, also when its name cannot be decoded", async () => {
  for (const name of ["%zz", "%ff", "%", "tenant_id%zz"]) {
    expect(await read(`x?${name}=1&tenant_id=a`)).toBe(404);
    expect(await read(`x?tenant_id=a&${name}`)).toBe(404);
  }
});

describe("clean", () => {
  test("empties a namespace for all tools, answers 204 also when nothing is there, and is over then", async () => {
    const scope = "?tenant_id=cleaned&namespace_id=ios";
    const document = `{"cas_id":"k","entries":[]}`;
    await ask(`/api/cache/cas/k${scope}`, { method: "POST", body: "x" });
    await ask(`/api/cache/gradle/k${scope}`, { method: "PUT", body: "x" });
    await ask(`/api/cache/keyvalue${scope}`, { method: "PUT", body: document });
    const targets = ["cas", "gradle", "keyvalue"].map((tool) => `/api/cache/${tool}/k${scope}`);
    for (const target of targets) expect((await ask(target)).status).toBe(200);

    for (let round = 0; round < 2; round++) {
      const cleaned = await ask(`/api/cache/clean${scope}`, { method: "DELETE" });
      expect([cleaned.status, await cleaned.text()]).toEqual([204, ""]);
      for (const target of targets) expect((await ask(target)).status).toBe(404);
    }
    await ask(`/api/cache/gradle/k${scope}`, { method: "PUT", body: "later" });
    expect(await (await ask(`/api/cache/gradle/k${scope}`)).text()).toBe("later");
  });

  test("without a namespace it empties the tenant's own scope and nothing else", async () => {
    await put("own?tenant_id=wide", "x");
    await put("own?tenant_id=wide&namespace_id=ios", "y");
    await put("own?tenant_id=wider", "z");
    expect((await ask("/api/cache/clean?tenant_id=wide", { method: "DELETE" })).status).toBe(204);
    expect(await read("own?tenant_id=wide")).toBe(404);
    expect(await read("own?tenant_id=wide&namespace_id=ios")).toBe("y");
    expect(await read("own?tenant_id=wider")).toBe("z");
  });

  test("takes a namespace with slashes, as build tools name their instances", async () => {
    const target = "/api/cache/clean?tenant_id=acme&namespace_id=bazel%2Fx";
    expect((await ask(target, { method: "DELETE" })).status).toBe(204);
  });

  test("needs a tenant and its own method", async () => {
    expect((await ask("/api/cache/clean", { method: "DELETE" })).status).toBe(400);
    const wrong = await ask("/api/cache/clean?tenant_id=acme");
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "DELETE"]);
  });
});
