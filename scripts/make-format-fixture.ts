import fs from "node:fs";
import path from "node:path";
import { sha256 } from "../runtime/base/digest.ts";
import { KiB } from "../runtime/base/units.ts";
import { formatVersion } from "../runtime/store/format.ts";
import { makeTemporaryFolder, projectFolder, startNode } from "../spec/support/node-process.ts";

/**
 * Makes `spec/fixture/format/<n>`: a data directory of this version with every kind of record in it, as a kill -9 left
 * it, and `manifest.json` with what a later version must answer. Run once for each format, never again for an old one.
 *
 *   node scripts/bun.mjs scripts/make-format-fixture.ts
 */

/** What a later version must answer; `sha256` is of the body, and absent where a miss is right. */
type Expected = { method: "GET"; url: string; status: number; sha256?: string };

const scope = "tenant_id=acme&namespace_id=ios";

/** Files that belong to a running process or can be made again. */
const leftOut = [
  "lock",
  "ballast",
  "admin.sock",
  "admin.path",
  "kura.db-shm",
  "tmp",
  "parts",
  "aside",
];

async function make(): Promise<void> {
  const target = path.join(projectFolder, "spec/fixture/format", String(formatVersion));
  if (fs.existsSync(target)) throw new Error(`${target} exists: a fixture is never made twice`);
  const dataDir = path.join(makeTemporaryFolder("format-fixture"), "data");

  const first = await startNode({ dataDir });
  const expected = await putFirst(first.url);
  await first.stop();
  const second = await startNode({ dataDir });
  expected.push(...(await putSecond(second.url)));
  await second.kill();

  fs.cpSync(dataDir, target, {
    recursive: true,
    filter: (source) => !leftOut.includes(path.basename(source)),
  });
  const manifest = path.join(target, "manifest.json");
  fs.writeFileSync(manifest, `${JSON.stringify(expected, null, 2)}\n`);
}

/** Every surface and every way a body lies on disk; ended cleanly. */
async function putFirst(base: string): Promise<Expected[]> {
  const expected: Expected[] = [];
  const sizes = [0, 1, 64 * KiB, 300 * KiB, 1_024 * KiB + 1];
  for (const size of sizes) {
    const url = `/api/cache/gradle/size-${size}?${scope}`;
    expected.push(await put(base, { url, body: bodyOf(size), method: "PUT" }));
  }
  const checked = `/api/cache/cas/0~checked?${scope}`;
  const body = bodyOf(5_000);
  const headers = { "tuist-checksum-sha256": Buffer.from(sha256(body)).toString("hex") };
  expected.push(await put(base, { url: checked, body, method: "POST", headers }));
  expected.push(await put(base, { url: "/v1/cache/1234567890", body: bodyOf(999), method: "PUT" }));
  expected.push(await put(base, { url: "/api/metro/cache/ab12", body: bodyOf(77), method: "PUT" }));
  await putKeyValue(base, "replaced", "old");
  const cleaned = "tenant_id=acme&namespace_id=cleaned";
  const gone = `/api/cache/gradle/gone?${cleaned}`;
  await put(base, { url: gone, body: bodyOf(10), method: "PUT" });
  await ask(base, `/api/cache/clean?${cleaned}`, { method: "DELETE" });
  return [...expected, { method: "GET", url: gone, status: 404 }];
}

/** Overwrites and new entries; killed. */
async function putSecond(base: string): Promise<Expected[]> {
  const url = await putKeyValue(base, "replaced", "new");
  const answer = await ask(base, url, {});
  const late = await put(base, { url: "/cache/acme/ios/late", body: bodyOf(4_321), method: "PUT" });
  const replaced = hex(sha256(new Uint8Array(await answer.arrayBuffer())));
  return [{ method: "GET", url, status: 200, sha256: replaced }, late];
}

type Upload = {
  url: string;
  body: Uint8Array<ArrayBuffer>;
  method: "PUT" | "POST";
  headers?: Record<string, string>;
};

async function put(base: string, { url, body, method, headers }: Upload): Promise<Expected> {
  await ask(base, url, { method, body, headers: headers ?? {} });
  return { method: "GET", url, status: 200, sha256: hex(sha256(body)) };
}

async function putKeyValue(base: string, id: string, value: string): Promise<string> {
  const body = JSON.stringify({ cas_id: id, entries: [{ value }] });
  await ask(base, `/api/cache/keyvalue?${scope}`, { method: "PUT", body });
  return `/api/cache/keyvalue/${id}?${scope}`;
}

async function ask(base: string, url: string, init: RequestInit): Promise<Response> {
  const answer = await fetch(new URL(url, base), init);
  if (answer.ok) return answer;
  throw new Error(`${init.method ?? "GET"} ${url} was answered with ${answer.status}`);
}

function bodyOf(size: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(size).map((_, i) => (i * 7 + size) % 61);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

await make();
