import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type DigestFunction,
  digestFunctions,
  digestOf,
} from "../../../runtime/base/digest-function.ts";
import { Fault } from "../../../runtime/base/fault.ts";
import { GiB, KiB, MiB } from "../../../runtime/base/units.ts";
import { connect, head, rawRequest } from "../../support/raw-http.ts";
import { eventually, type SpecServer, startServer } from "../../support/server.ts";
import { patterned } from "./dialects.ts";
import { noFaults, withFaults } from "./faulty-store.ts";
import { largeFiles } from "./files.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const hashOf = (body: Uint8Array, digestFunction: DigestFunction = "sha256"): string =>
  Buffer.from(digestOf(digestFunction, body)).toString("hex");
const ask = (target: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${server.url}${target}`, init);
const put = (target: string, body: BodyInit): Promise<Response> =>
  ask(target, { method: "PUT", body });
const statusOf = async (target: string): Promise<number> => (await ask(target)).status;
const messageOf = async (answer: Response): Promise<string> =>
  ((await answer.json()) as { message: string }).message;
const zeros = "0".repeat(64);

describe("a blob", () => {
  test.each([1, 4 * KiB, 16 * KiB + 1, 300 * KiB, MiB, 3 * MiB])(
    "of %d bytes comes back byte for byte with its headers",
    async (sizeBytes) => {
      const body = patterned(sizeBytes);
      const target = `/cas/${hashOf(body)}`;
      expect(await statusOf(target)).toBe(404);
      const stored = await put(target, body);
      expect([stored.status, await stored.text()]).toEqual([200, ""]);
      const got = await ask(target);
      expect(got.status).toBe(200);
      expect(Buffer.compare(Buffer.from(await got.arrayBuffer()), body)).toBe(0);
      expect(got.headers.get("content-length")).toBe(String(sizeBytes));
      expect(got.headers.get("content-type")).toBe("application/octet-stream");
      expect(got.headers.get("content-encoding")).toBeNull();
      const headed = await ask(target, { method: "HEAD" });
      expect([headed.status, headed.headers.get("etag")]).toEqual([200, got.headers.get("etag")]);
      const part = await ask(target, { headers: { range: "bytes=0-0" } });
      expect([
        part.status,
        Buffer.from(await part.arrayBuffer()).equals(body.subarray(0, 1)),
      ]).toEqual([206, true]);
    },
  );

  test.each([0, 1, 4 * KiB, 16 * KiB + 1, 300 * KiB, 3 * MiB])(
    "of %d bytes under another hash is 400 with both hashes, and nothing is stored",
    async (sizeBytes) => {
      const files = largeFiles(server.dataDir);
      const other = hashOf(Buffer.from(`other than ${sizeBytes}`));
      const refused = await put(`/cas/${other}`, patterned(sizeBytes));
      expect(refused.status).toBe(400);
      const message = await messageOf(refused);
      expect(message).toContain(other);
      expect(message).toContain(hashOf(patterned(sizeBytes)));
      expect(await statusOf(`/cas/${other}`)).toBe(404);
      expect(largeFiles(server.dataDir)).toBe(files);
      expect(server.budget.usedBytes).toBe(0);
    },
  );

  test.each([10, 1_500_000])("of %d bytes in chunks is checked too", async (sizeBytes) => {
    const body = Buffer.from(patterned(sizeBytes)).fill("chunked", 0, 7);
    for (const [hash, status] of [
      [hashOf(Buffer.from("not it")), 400],
      [hashOf(body), 200],
    ] as const) {
      await using connection = await connect(server.port);
      await connection.send(head(`PUT /cas/${hash}`, "Transfer-Encoding: chunked"));
      await connection.send(`${body.length.toString(16)}\r\n`);
      await connection.send(body);
      await connection.send("\r\n0\r\n\r\n");
      expect((await connection.answer()).status).toBe(status);
      expect(await statusOf(`/cas/${hash}`)).toBe(status === 200 ? 200 : 404);
    }
  });

  test.each(digestFunctions)("may be named by its %s", async (digestFunction) => {
    for (const sizeBytes of [100, 2 * MiB]) {
      const body = patterned(sizeBytes + digestFunction.length);
      const hash = hashOf(body, digestFunction);
      expect((await put(`/functions/cas/${hash}`, patterned(5))).status).toBe(400);
      expect((await put(`/functions/cas/${hash}`, body)).status).toBe(200);
      expect(await statusOf(`/functions/cas/${hash}`)).toBe(200);
    }
  });

  test("that is there is answered before its body has come, and the connection goes on", async () => {
    const body = patterned(200_000);
    const target = `/cas/${hashOf(body)}`;
    await put(target, body);
    await using connection = await connect(server.port);
    await connection.send(head(`PUT ${target}`, "Content-Length: 200000"));
    expect((await connection.answer()).status).toBe(200);
    await connection.send(body);
    await connection.send(head(`GET ${target}`));
    expect((await connection.answer()).body.equals(body)).toBe(true);
  });

  test("of many writers is stored once", async () => {
    await using own = await startServer();
    const body = patterned(50_000);
    const url = `${own.url}/cas/${hashOf(body)}`;
    const answers = await Promise.all(
      Array.from({ length: 16 }, () => fetch(url, { method: "PUT", body })),
    );
    expect(answers.map(({ status }) => status)).toEqual(new Array(16).fill(200));
    const labels = `producer="reapi",kind="blob",artifact_class="blob",client="other"`;
    expect(await own.metric(`kura_artifact_writes_total{${labels},result="ok"}`)).toBe(1);
    expect(await own.metric(`kura_artifact_writes_total{${labels},result="exists"}`)).toBe(15);
  });

  test("that ends early is not stored", async () => {
    for (const sizeBytes of [100, 3 * MiB]) {
      const body = Buffer.from(patterned(sizeBytes)).fill("early", 0, 5);
      const target = `/cas/${hashOf(body)}`;
      await using connection = await connect(server.port);
      await connection.send(head(`PUT ${target}`, `Content-Length: ${sizeBytes}`));
      await connection.send(body.subarray(0, sizeBytes - 1));
      await eventually("the upload is under way", () => server.life.httpInflight > 0);
      connection.destroy();
      await eventually("the upload has ended", () => server.life.httpInflight === 0);
      expect(await statusOf(target)).toBe(404);
    }
  });

  test("over the limit is 413, whether its length is declared or not", async () => {
    const refused = await rawRequest(
      server.port,
      head(`PUT /cas/${zeros}`, `Content-Length: ${2 * GiB + 1}`),
    );
    expect(refused.status).toBe(413);
    await using small = await startServer({ env: { KURA_MAX_BLOB_BYTES: "65536" } });
    const body = patterned(65_537);
    await using connection = await connect(small.port);
    await connection.send(head(`PUT /cas/${hashOf(body)}`, "Transfer-Encoding: chunked"));
    await connection.send(`${body.length.toString(16)}\r\n`);
    await connection.send(body);
    await connection.send("\r\n0\r\n\r\n");
    expect((await connection.answer()).status).toBe(413);
    const fits = body.subarray(1);
    const stored = await fetch(`${small.url}/cas/${hashOf(fits)}`, { method: "PUT", body: fits });
    expect(stored.status).toBe(200);
  });

  test("has its own checksum header ignored, since the path names its digest", async () => {
    const body = patterned(33);
    const headers = { "tuist-checksum-sha256": "no hex at all" };
    const target = `/cas/${hashOf(body)}`;
    expect((await ask(target, { method: "PUT", body, headers })).status).toBe(200);
    expect((await ask(target)).headers.get("tuist-checksum-sha256")).toBeNull();
  });
});

describe("the empty blob", () => {
  test.each(digestFunctions)("is there in %s, though nobody wrote it", async (digestFunction) => {
    const commits = server.store.usage().artifactCommits;
    const target = `/never/written/cas/${hashOf(new Uint8Array(0), digestFunction)}`;
    for (const method of ["GET", "HEAD"]) {
      const got = await ask(target, { method });
      expect([got.status, got.headers.get("content-length")]).toEqual([200, "0"]);
      expect(await got.text()).toBe("");
    }
    expect((await put(target, "")).status).toBe(200);
    const noLength = await rawRequest(server.port, head(`PUT ${target}`));
    expect(noLength.status).toBe(200);
    // Like any blob that is there, it is kept without a look at what came.
    expect((await put(target, "x")).status).toBe(200);
    const chunked = await rawRequest(
      server.port,
      `${head(`PUT ${target}`, "Transfer-Encoding: chunked")}1\r\nx\r\n0\r\n\r\n`,
    );
    expect(chunked.status).toBe(200);
    expect(await (await ask(target)).text()).toBe("");
    expect(server.store.usage().artifactCommits).toBe(commits);
  });

  test("has no part", async () => {
    const target = `/cas/${hashOf(new Uint8Array(0))}`;
    const got = await ask(target, { headers: { range: "bytes=0-" } });
    expect([got.status, got.headers.get("content-range")]).toEqual([416, "bytes */0"]);
    const other = { range: "bytes=0-", "if-range": `"1-2"` };
    expect((await ask(target, { headers: other })).status).toBe(200);
  });

  test("can be written when the store is full", async () => {
    const faults = noFaults();
    await using full = await startServer({ inFront: (store) => withFaults(store, faults) });
    faults.commit = new Fault("full", "no space");
    const url = `${full.url}/cas/${hashOf(new Uint8Array(0))}`;
    expect((await fetch(url, { method: "PUT", body: "" })).status).toBe(200);
  });
});

describe("an instance", () => {
  const body = Buffer.from("instances");
  const hash = hashOf(body);

  test("is the path before the folder, of any length; each has its own blobs", async () => {
    const instances = ["", "/ios", "/acme/ios", "/a/b/c/d/e", "/ac", "/cas/cas", "/status"];
    for (const [i, instance] of instances.entries()) {
      expect([instance, await statusOf(`${instance}/cas/${hash}`)]).toEqual([instance, 404]);
      expect((await put(`${instance}/cas/${hash}`, body)).status).toBe(200);
      expect((await put(`${instance}/ac/${hash}`, `result ${i}`)).status).toBe(200);
    }
    for (const [i, instance] of instances.entries()) {
      expect(await (await ask(`${instance}/ac/${hash}`)).text()).toBe(`result ${i}`);
    }
  });

  test("is compared without regard to case, after decoding each part once", async () => {
    await put(`/Team%20A/caf%C3%A9/ac/${hash}`, "spelt");
    expect(await (await ask(`/team%20a/caf%c3%A9/ac/${hash}`)).text()).toBe("spelt");
    expect(await statusOf(`/team%2520a/caf%C3%A9/ac/${hash}`)).toBe(404);
  });

  test("that is missing is `default`, and slashes too many count for nothing", async () => {
    await put(`/ac/${hash}`, "default one");
    expect(await (await ask(`/default/ac/${hash}`)).text()).toBe("default one");
    expect((await rawRequest(server.port, head(`GET //ac/${hash}`))).body.toString()).toBe(
      "default one",
    );
    await put(`/two/parts/ac/${hash}`, "two parts");
    const doubled = await rawRequest(server.port, head(`GET //two//parts//ac/${hash}`));
    expect(doubled.body.toString()).toBe("two parts");
  });

  test.each(["api", "v1", "v8", "cache", "ccache", "_internal", "API", "%61pi", "/api", "api/x/y"])(
    "may not begin like a path of another tool (%s)",
    async (name) => {
      for (const folder of ["ac", "cas"]) {
        const target = `/${name}/${folder}/${hash}`;
        const line = head(`PUT ${target}`, `Content-Length: ${body.length}`);
        const refused = await rawRequest(server.port, `${line}${body}`);
        expect(refused.status).toBeGreaterThanOrEqual(400);
        expect(refused.status).toBeLessThan(500);
        const got = await rawRequest(server.port, head(`GET ${target}`));
        expect(got.status).toBeGreaterThanOrEqual(400);
      }
    },
  );

  test("that is refused for its name says why", async () => {
    const refused = await put(`/_internal/ac/${hash}`, "x");
    expect([refused.status, await messageOf(refused)]).toEqual([
      400,
      expect.stringContaining("_internal"),
    ]);
  });

  test.each([
    "a%2Fb",
    "a%5Cb",
    "a%00b",
    "%zz",
    "%ff",
    "%EF%BF%BD",
    "a".repeat(513),
    "%252e/%2E%2E%2f",
  ])("with a part such as %s is 400", async (name) => {
    const refused = await rawRequest(server.port, head(`GET /ok/${name}/cas/${hash}`));
    expect(refused.status).toBe(400);
  });

  test("of more than 512 bytes in all is 400", async () => {
    const parts = (count: number): string => new Array(count).fill("x".repeat(31)).join("/");
    expect(await statusOf(`/${parts(16)}/cas/${hash}`)).toBe(404);
    expect(await statusOf(`/${parts(17)}/cas/${hash}`)).toBe(400);
  });

  test("is the node's tenant's, and a clean of its name empties it", async () => {
    await put(`/clean/me/cas/${hash}`, body);
    await put(`/clean/me/ac/${hash}`, "x");
    await put(`/clean/ac/${hash}`, "other");
    const cleaned = await ask(`/api/cache/clean?tenant_id=default&namespace_id=clean%2Fme`, {
      method: "DELETE",
    });
    expect(cleaned.status).toBe(204);
    expect(await statusOf(`/clean/me/cas/${hash}`)).toBe(404);
    expect(await statusOf(`/clean/me/ac/${hash}`)).toBe(404);
    expect(await statusOf(`/clean/ac/${hash}`)).toBe(200);
  });
});

describe("a hash", () => {
  const good = hashOf(Buffer.from("hash"));

  test.each([
    ["in upper case", good.toUpperCase()],
    ["of 63 digits", good.slice(1)],
    ["of 32 digits (MD5)", good.slice(32)],
    ["that is no hex", "g".repeat(64)],
    ["that is empty", ""],
    ["that is a word", "status"],
    ["with a slash", `${good.slice(0, 30)}%2F${good.slice(31)}`],
    ["that cannot be decoded", "%zz"],
  ])("%s is 400 with a message, for blobs and results", async (_, hash) => {
    for (const folder of ["cas", "ac"]) {
      const refused = await ask(`/ios/${folder}/${hash}`);
      expect([refused.status, typeof (await messageOf(refused))]).toEqual([400, "string"]);
    }
  });

  test("with something behind it is no route", async () => {
    for (const target of [
      `/cas/${good}/x`,
      `/cas/x/y/${good}`,
      `/ios/ac/${good}/`,
      "/cas",
      "/ac",
    ]) {
      expect([target, [400, 404]]).toEqual([
        target,
        expect.arrayContaining([await statusOf(target)]),
      ]);
    }
    expect(await statusOf(`/cas/x/y/${good}`)).toBe(404);
  });

  test("has its methods", async () => {
    for (const folder of ["cas", "ac"]) {
      for (const method of ["POST", "DELETE", "PATCH"]) {
        const refused = await ask(`/${folder}/${good}`, { method });
        expect([refused.status, refused.headers.get("allow")]).toEqual([405, "GET, HEAD, PUT"]);
      }
    }
  });
});

test("a large build's path costs one template in the metrics, never its hashes", async () => {
  await using own = await startServer();
  for (let i = 0; i < 5; i++) {
    await fetch(`${own.url}/ios/cas/${hashOf(Buffer.from(`${i}`))}`);
    await fetch(`${own.url}/x/y/ac/${hashOf(Buffer.from(`${i}`))}`, {
      headers: { "user-agent": "bazel/4.2.3" },
    });
  }
  for (const folder of ["cas", "ac"]) {
    const line = `kura_http_requests_total{route="/{instance}/${folder}/{hash}",method="GET",status="404"}`;
    expect(await own.metric(line)).toBe(5);
  }
  const labels = `producer="reapi",kind="actionResult",artifact_class="pointer",client="bazel"`;
  expect(await own.metric(`kura_artifact_reads_total{${labels},result="not_found"}`)).toBe(5);
});

describe("trouble", () => {
  const body = patterned(100);
  const targets = [`/ios/cas/${hashOf(body)}`, `/ios/ac/${hashOf(body)}`];

  test("of a node that drains or recovers is 503", async () => {
    for (const phase of ["draining", "recovering"] as const) {
      await using own = await startServer({ phase: phase === "draining" ? "serving" : phase });
      if (phase === "draining") own.life.advance("draining");
      for (const target of targets) {
        expect((await fetch(`${own.url}${target}`)).status).toBe(503);
        const refused = await fetch(`${own.url}${target}`, { method: "PUT", body });
        expect(refused.status).toBe(503);
      }
    }
  });

  test.each([
    ["find", "unavailable", "GET", 503],
    ["find", "internal", "GET", 503],
    ["open", "internal", "GET", 503],
    ["commit", "full", "PUT", 507],
    ["commit", "overloaded", "PUT", 429],
    ["commit", "unavailable", "PUT", 503],
  ] as const)("of the store (%s: %s) answers %s with %d", async (call, code, method, status) => {
    const faults = noFaults();
    await using own = await startServer({ inFront: (store) => withFaults(store, faults) });
    if (call === "open") {
      for (const target of targets) await fetch(`${own.url}${target}`, { method: "PUT", body });
    }
    faults[call] = new Fault(code, "The disk of /secret is gone");
    for (const target of targets) {
      const init = method === "PUT" ? { method, body } : { method };
      const refused = await fetch(`${own.url}${target}`, init);
      expect([target, refused.status]).toEqual([target, status]);
      if (code !== "overloaded") expect(await refused.text()).not.toContain("secret");
    }
    expect(own.life.httpInflight).toBe(0);
    expect(own.budget.usedBytes).toBe(0);
  });
});
