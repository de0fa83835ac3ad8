import { expect, test } from "bun:test";
import fs from "node:fs";
import { sha256 } from "../../../runtime/base/digest.ts";
import type { SpaceReport } from "../../../runtime/catalog/space-report.ts";
import { encodeActionResult } from "../../support/reapi-messages.ts";
import { eventually, type SpecServer, startServer } from "../../support/server.ts";

const query = "tenant_id=default&namespace_id=ios";
const hex = "ab".repeat(32);

/** Every surface of pointers: where one is read, and its labels. */
const surfaces = [
  ["gradle", `/api/cache/gradle/k?${query}`, "gradle", "gradle"],
  ["stock gradle", "/cache/k", "gradle", "gradle"],
  ["nx", "/v1/cache/k", "nx", "nx"],
  ["metro", "/api/metro/cache/k", "metro", "metro"],
  ["key-value", `/api/cache/keyvalue/k?${query}`, "xcode", "keyValue"],
  ["module", `/api/cache/module/m?${query}&hash=h&name=n`, "module", "module"],
  ["ccache", "/ccache/default/ios/ab12", "ccache", "ccache"],
  ["turborepo", "/v8/artifacts/k?teamId=t", "turborepo", "turborepo"],
  ["action result", `/ios/ac/${hex}`, "reapi", "actionResult"],
].map(([name = "", path = "", producer = "", kind = ""]) => ({ name, path, producer, kind }));
type Surface = (typeof surfaces)[number];
const surfaceOf = (name: string): Surface => surfaces.find((one) => one.name === name)!;

function misses(server: SpecServer, { producer, kind }: Surface, reason: string) {
  const labels = `producer="${producer}",kind="${kind}",artifact_class="pointer",client="curl"`;
  return server.metric(`kura_pointer_misses_total{${labels},reason="${reason}"}`);
}

const headers = { "user-agent": "curl/8" };
const read = (server: SpecServer, path: string, method = "GET"): Promise<Response> =>
  fetch(server.url + path, { headers, method });

async function space(server: SpecServer): Promise<SpaceReport> {
  return (await (await server.admin("GET", "/v1/space")).json()) as SpaceReport;
}

test.each(surfaces)("a miss of $name says why", async (surface) => {
  await using server = await startServer();
  const { path } = surface;
  expect((await read(server, path)).status).toBe(404);
  expect(await misses(server, surface, "never_written")).toBe(1);
  // HEAD books nothing.
  expect((await read(server, path, "HEAD")).status).toBe(404);
  expect(await misses(server, surface, "never_written")).toBe(1);
});

test("a cleaned namespace says so, and a hit is counted for its scope", async () => {
  await using server = await startServer();
  const gradle = surfaceOf("gradle");
  const { path } = gradle;
  await fetch(server.url + path, { method: "PUT", body: "12345" });
  expect((await read(server, path)).status).toBe(200);
  expect((await fetch(`${server.url}/api/cache/clean?${query}`, { method: "DELETE" })).status).toBe(
    204,
  );
  expect((await read(server, path)).status).toBe(404);
  expect(await misses(server, gradle, "cleaned")).toBe(1);
  await eventually("the hit is booked", async () => {
    return (await space(server)).pointerReads?.hits === 1;
  });
  const { holdings } = await space(server);
  expect(holdings).toEqual([
    expect.objectContaining({
      tenant: "default",
      namespace: "ios",
      artifactCount: 0,
      pointerReads: { hits: 1, misses: 1, hitPercent: 50, missReasons: { cleaned: 1 } },
    }),
  ]);
});

test("a result whose blobs are not here is incomplete", async () => {
  await using server = await startServer();
  const hash = Buffer.from(sha256("not here")).toString("hex");
  const body = encodeActionResult({
    outputFiles: [{ path: "a", digest: { hash, sizeBytes: 8 } }],
  });
  await fetch(`${server.url}/ios/ac/${hex}`, { method: "PUT", body: new Uint8Array(body) });
  const result = surfaceOf("action result");
  expect((await read(server, result.path)).status).toBe(404);
  expect(await misses(server, result, "incomplete")).toBe(1);
  expect(await misses(server, result, "never_written")).toBe(0);
});

test("what went to make room was once here, and the report says for how many of the misses that holds", async () => {
  await using server = await startServer({ env: { KURA_CAS_CAPACITY_BYTES: "64MiB" } });
  const pathOf = (i: number): string => `/api/cache/gradle/k${i}?${query}`;
  for (let i = 0; i < 80; i++) {
    const body = Buffer.alloc(1_000_000, `body ${i}`);
    expect((await fetch(server.url + pathOf(i), { method: "PUT", body })).status).toBe(201);
  }
  for (const i of [0, 1, 2, 100]) expect((await read(server, pathOf(i))).status).toBe(404);
  expect(await misses(server, surfaceOf("gradle"), "evicted")).toBe(3);
  expect(await misses(server, surfaceOf("gradle"), "never_written")).toBe(1);
  const { onceHerePercent, nextToGo, holdings } = await space(server);
  expect(onceHerePercent).toBe(75);
  expect(nextToGo[0]).toMatchObject({ kind: "segment" });
  expect(nextToGo[0]?.liveBytes).toBeGreaterThan(1_000_000);
  expect(holdings[0]?.artifactCount).toBeLessThan(66);
});

test("what is damaged is a corrupt miss until it is written anew", async () => {
  await using server = await startServer();
  const { path } = surfaceOf("gradle");
  const body = "kura ".repeat(200);
  await fetch(server.url + path, { method: "PUT", body });
  flipByteBehind(server.dataDir, body);
  for (let i = 0; i < 2; i++) expect((await read(server, path)).status).toBe(404);
  expect(await misses(server, surfaceOf("gradle"), "corrupt")).toBe(2);
  await fetch(server.url + path, { method: "PUT", body });
  expect((await read(server, path)).status).toBe(200);
});

/** Damages the one stored body that has this text. */
function flipByteBehind(dataDir: string, text: string): void {
  for (const name of fs.readdirSync(`${dataDir}/segments`)) {
    const file = `${dataDir}/segments/${name}`;
    const bytes = fs.readFileSync(file);
    const at = bytes.indexOf(text);
    if (at < 0) continue;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    // In place: the node has the file open.
    fs.writeFileSync(file, bytes, { flag: "r+" });
    return;
  }
  throw new Error(`No segment of ${dataDir} has the text`);
}

test("misses of blobs are no misses of pointers", async () => {
  await using server = await startServer();
  expect((await read(server, `/ios/cas/${hex}`)).status).toBe(404);
  expect((await read(server, `/api/cache/cas/x?${query}`)).status).toBe(404);
  expect((await space(server)).pointerReads).toMatchObject({ hits: 0, misses: 0 });
});

test("namespaces are in the report and never in the metrics", async () => {
  await using server = await startServer();
  for (let i = 0; i < 50; i++) {
    await read(server, `/api/cache/gradle/k?tenant_id=default&namespace_id=invented${i}`);
  }
  const { holdings } = await space(server);
  expect(holdings).toHaveLength(50);
  const text = await (await fetch(`${server.url}/metrics`)).text();
  expect(text).not.toContain("invented");
  expect(await misses(server, surfaceOf("gradle"), "never_written")).toBe(50);
});
