import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sha256 } from "../../../runtime/base/digest.ts";
import { Fault } from "../../../runtime/base/fault.ts";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import { connect, head, rawRequest } from "../../support/raw-http.ts";
import { eventually, type SpecServer, startServer } from "../../support/server.ts";
import { patterned } from "./dialects.ts";
import { noFaults, withFaults } from "./faulty-store.ts";

let server: SpecServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const base = "/ccache/acme/ios";
const ask = (target: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${server.url}${target}`, init);
const put = (target: string, body: BodyInit): Promise<Response> =>
  ask(target, { method: "PUT", body });
const remove = (target: string): Promise<Response> => ask(target, { method: "DELETE" });
const textOf = async (target: string): Promise<string | number> => {
  const got = await ask(target);
  return got.status === 200 ? await got.text() : got.status;
};

/** 33 digits, as ccache 4.7 makes them from 20 bytes. */
const flat = "524a0kj3lvn8p7q2d9u6c1h5b0m4r3s2t";
const subdirs = `${flat.slice(0, 2)}/${flat.slice(2)}`;
const bazelHash = Buffer.from(sha256("ccache")).toString("hex");

describe.each([
  ["flat", `${base}/${flat}`],
  ["subdirs", `${base}/${subdirs}`],
  ["bazel", `${base}/ac/${bazelHash}`],
])("the layout %s", (layout, target) => {
  test.each([0, 1, 4 * KiB, 300 * KiB, 3 * MiB])(
    "brings an entry of %d bytes back byte for byte",
    async (sizeBytes) => {
      const body = patterned(sizeBytes);
      const stored = await put(target, body);
      expect([layout, stored.status, await stored.text()]).toEqual([layout, 200, ""]);
      const got = await ask(target);
      expect(got.status).toBe(200);
      expect(Buffer.from(await got.arrayBuffer()).equals(body)).toBe(true);
      expect(got.headers.get("content-type")).toBe("application/octet-stream");
      const headed = await ask(target, { method: "HEAD" });
      expect([headed.status, headed.headers.get("content-length")]).toEqual([
        200,
        String(sizeBytes),
      ]);
    },
  );

  test("replaces an entry with what was written last, whatever the sizes", async () => {
    for (const [i, sizeBytes] of [10, 2 * MiB, 20, 3 * MiB].entries()) {
      expect((await put(target, Buffer.alloc(sizeBytes, i))).status).toBe(200);
      const got = Buffer.from(await (await ask(target)).arrayBuffer());
      expect(got.equals(Buffer.alloc(sizeBytes, i))).toBe(true);
    }
  });

  test("removes an entry once, and takes it again", async () => {
    await put(target, "to be removed");
    const removed = await remove(target);
    expect([removed.status, await removed.text()]).toEqual([204, ""]);
    expect(await textOf(target)).toBe(404);
    expect((await ask(target, { method: "HEAD" })).status).toBe(404);
    const again = await remove(target);
    expect([again.status, again.headers.get("content-type")]).toEqual([404, "application/json"]);
    expect((await put(target, "back")).status).toBe(200);
    expect(await textOf(target)).toBe("back");
  });
});

test("the layouts flat and subdirs share their entries, bazel has its own", async () => {
  await put(`${base}/${flat}`, "shared");
  expect(await textOf(`${base}/${subdirs}`)).toBe("shared");
  await remove(`${base}/${subdirs}`);
  expect(await textOf(`${base}/${flat}`)).toBe(404);
  await put(`${base}/ac/${bazelHash}`, "bazel");
  expect(await textOf(`${base}/ac${bazelHash}`)).toBe(404);
  expect(await textOf(`/acme/ios/ac/${bazelHash}`)).toBe(404);
  // A short key whose first two digits are "ac" is one of subdirs.
  await put(`${base}/ac4a0kj`, "ac");
  expect(await textOf(`${base}/ac/4a0kj`)).toBe("ac");
});

test("tenant and namespace are the first two parts, compared without regard to case", async () => {
  await put("/ccache/One/Two/k1", "scoped");
  expect(await textOf("/ccache/one/two/k1")).toBe("scoped");
  expect(await textOf("/ccache/two/one/k1")).toBe(404);
  expect(await textOf("/ccache/one/tw%6F/k1")).toBe("scoped");
  await put("/ccache/one/two/K1", "upper case");
  expect(await textOf("/ccache/one/two/k1")).toBe("scoped");
  const clean = await ask("/api/cache/clean?tenant_id=one&namespace_id=two", { method: "DELETE" });
  expect(clean.status).toBe(204);
  expect(await textOf("/ccache/one/two/k1")).toBe(404);
});

test.each([
  "/ccache/",
  "/ccache/acme",
  "/ccache/acme/ios",
  "/ccache/acme/ios/",
  "/ccache//ios/key",
  "/ccache/acme//key",
  "/ccache/acme/ios/abc/def",
  "/ccache/acme/ios/a/bc",
  "/ccache/acme/ios/ab/",
  "/ccache/acme/ios/ab/cd/ef",
  "/ccache/acme/ios/a%2Fb",
  "/ccache/acme/ios/ab/c%5Cd",
  "/ccache/acme/ios/%00",
  "/ccache/acme/ios/%zz",
  "/ccache/acme/ios/ab/%ff",
  "/ccache/ac%2Fme/ios/key",
  "/ccache/acme/%2E%2E%2f/key",
  `/ccache/acme/ios/${"a".repeat(513)}`,
  `/ccache/acme/ios/ab/${"a".repeat(513)}`,
])("the path %s is 400 for every method, and nothing is stored", async (target) => {
  for (const method of ["GET", "PUT", "DELETE"]) {
    const refused = await rawRequest(
      server.port,
      `${head(`${method} ${target}`, "Content-Length: 1")}x`,
    );
    expect([method, refused.status, refused.headers.get("content-type")]).toEqual([
      method,
      400,
      "application/json",
    ]);
  }
});

test("a key may be as long as an id in both parts", async () => {
  const target = `${base}/ab/${"c".repeat(512)}`;
  expect((await put(target, "long")).status).toBe(200);
  expect(await textOf(target)).toBe("long");
});

test("an entry over the limit is 413 and one of the limit is stored", async () => {
  const refused = await rawRequest(
    server.port,
    head(`PUT ${base}/large`, `Content-Length: ${100 * MiB + 1}`),
  );
  expect(refused.status).toBe(413);
  await using small = await startServer({ env: { KURA_MAX_CCACHE_BYTES: "65536" } });
  const url = `${small.url}${base}/edge`;
  expect((await fetch(url, { method: "PUT", body: patterned(65_537) })).status).toBe(413);
  expect((await fetch(url, { method: "PUT", body: patterned(65_536) })).status).toBe(200);
});

test("a body that ends early leaves the entry as it was", async () => {
  for (const sizeBytes of [100, 3 * MiB]) {
    await put(`${base}/early`, "before");
    await using connection = await connect(server.port);
    await connection.send(head(`PUT ${base}/early`, `Content-Length: ${sizeBytes}`));
    await connection.send(patterned(sizeBytes - 1));
    await eventually("the upload is under way", () => server.life.httpInflight > 0);
    connection.destroy();
    await eventually("the upload has ended", () => server.life.httpInflight === 0);
    expect(await textOf(`${base}/early`)).toBe("before");
    expect(server.budget.usedBytes).toBe(0);
  }
});

test("writers and removers of one key leave one of the written entries or none", async () => {
  const bodies = Array.from({ length: 12 }, (_, i) =>
    `entry ${i} `.repeat(i % 2 === 0 ? 10 : 9_000),
  );
  const answers = await Promise.all(
    bodies.flatMap((body) => [put(`${base}/raced`, body), remove(`${base}/raced`)]),
  );
  for (const { status } of answers) expect([200, 204, 404]).toContain(status);
  const left = await textOf(`${base}/raced`);
  expect([...bodies, 404]).toContain(left);
});

test("methods that ccache does not know are refused with the right ones", async () => {
  const refused = await ask(`${base}/key`, { method: "POST", body: "x" });
  expect([refused.status, refused.headers.get("allow")]).toEqual([405, "GET, HEAD, PUT, DELETE"]);
});

test("entries are counted as ccache's", async () => {
  await using own = await startServer();
  const headers = { "user-agent": "ccache/4.7.5" };
  await fetch(`${own.url}${base}/k`, { method: "PUT", body: "12345", headers });
  await fetch(`${own.url}${base}/k`, { method: "PUT", body: "123", headers });
  await fetch(`${own.url}${base}/none`, { headers });
  const labels = `producer="ccache",kind="ccache",artifact_class="pointer",client="ccache"`;
  expect(await own.metric(`kura_artifact_writes_total{${labels},result="ok"}`)).toBe(2);
  expect(await own.metric(`kura_artifact_write_bytes_total{${labels},result="ok"}`)).toBe(8);
  expect(await own.metric(`kura_artifact_reads_total{${labels},result="not_found"}`)).toBe(1);
  const route = "/ccache/{tenant}/{namespace}/{key}";
  expect(
    await own.metric(`kura_http_requests_total{route="${route}",method="PUT",status="200"}`),
  ).toBe(2);
});

test.each([
  ["full", 507, 507],
  ["unavailable", 503, 503],
  ["internal", 503, 503],
] as const)("a store that is %s answers PUT with %d and DELETE with %d", async (code, put, del) => {
  const faults = noFaults();
  await using own = await startServer({ inFront: (store) => withFaults(store, faults) });
  const url = `${own.url}${base}/k`;
  await fetch(url, { method: "PUT", body: "before" });
  faults.commit = new Fault(code, "The disk of /secret is gone");
  const refused = await fetch(url, { method: "PUT", body: "after" });
  expect([refused.status, (await refused.text()).includes("secret")]).toEqual([put, false]);
  expect((await fetch(url, { method: "DELETE" })).status).toBe(del);
  expect(await (await fetch(url)).text()).toBe("before");
});

test("a draining node answers 503, which ccache takes for a miss", async () => {
  await using own = await startServer();
  own.life.advance("draining");
  for (const method of ["GET", "PUT", "DELETE"]) {
    const init = method === "PUT" ? { method, body: "x" } : { method };
    expect((await fetch(`${own.url}${base}/k`, init)).status).toBe(503);
  }
});
