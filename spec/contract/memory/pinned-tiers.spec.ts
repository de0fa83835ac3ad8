import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { KiB, MiB } from "../../../runtime/base/units.ts";
import { type MemoryTier, memoryTiers } from "../../../runtime/observe/memory-tier.ts";
import { grpcCodes } from "../../../runtime/wire/grpc/status.ts";
import { makeContent } from "../../support/load-surface.ts";
import {
  completeModule,
  getModule,
  openUpload,
  partBody,
  sendPart,
  startModule,
} from "../../support/module-client.ts";
import { type NodeProcess, startNode } from "../../support/node-process.ts";
import { type Digest, digestOf, ReapiClient } from "../../support/reapi-client.ts";
import { type Dialect, dialects } from "../http/dialects.ts";

/** What a node holds before it is restarted in the tier: one artifact a dialect, blobs, a result, half a module. */
const oldId = "0a".repeat(20);
const newId = "0b".repeat(20);
const body = new Uint8Array(makeContent("pinned", 3 * KiB));
const blob = makeContent("blob", 20 * KiB);
const action = digestOf(makeContent("action", 40));
const namespace = "pinned";
const instance = "acme/pinned";
const module = { hash: "5e", name: "Half", namespace };
const smallReads = 100;

const urlOf = (node: NodeProcess, { prefix, suffix }: Dialect, id: string): string =>
  `${node.url}${prefix}${id}${suffix}`;

const smallUrl = (node: NodeProcess, key: number): string =>
  `${node.url}/api/cache/gradle/small${key}?tenant_id=acme&namespace_id=${namespace}`;

async function metric(node: NodeProcess, name: string): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.split(" ")[1]);
}

function blobName({ hash, sizeBytes }: Digest, upload: boolean): string {
  return `${instance}${upload ? "/uploads/u" : ""}/blobs/${hash}/${sizeBytes}`;
}

async function fill(node: NodeProcess): Promise<string> {
  for (const dialect of dialects) {
    const answer = await fetch(urlOf(node, dialect, oldId), { method: dialect.write, body });
    expect(answer.status).toBe(dialect.stored);
  }
  for (let key = 0; key < smallReads; key++) {
    await fetch(smallUrl(node, key), { method: "PUT", body });
  }
  using client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
  expect((await client.write(blobName(digestOf(blob), true), blob)).code).toBe(0);
  const actionResult = { outputFiles: [{ path: "a", digest: digestOf(blob) }] };
  const fields = { instanceName: instance, actionDigest: action, actionResult };
  expect((await client.call("ActionCache/UpdateActionResult", fields)).code).toBe(0);
  return await openUpload(node.url, module);
}

describe.each(memoryTiers.map((tier) => [tier]))("a node that is pinned to %s", (tier) => {
  const isCritical = tier === "critical";
  let node: NodeProcess;
  let before: NodeProcess;
  let client: ReapiClient;
  let uploadId = "";
  beforeAll(async () => {
    before = await startNode();
    uploadId = await fill(before);
    expect(await before.stop()).toBe(0);
    node = await before.restart({ env: { KURA_MEMORY_PRESSURE_PIN: tier } });
    client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
  });
  afterAll(async () => {
    client[Symbol.dispose]();
    await before[Symbol.asyncDispose]();
  });

  test("says so, and is ready", async () => {
    const rollout = (await (await fetch(`${node.url}/status/rollout`)).json()) as object;
    expect(rollout).toMatchObject({ memory_pressure_state: tier, ready: true });
    expect(await metric(node, "kura_memory_pressure_state")).toBe(memoryTiers.indexOf(tier));
    expect(await metric(node, `kura_memory_tier_entries_total{tier="${tier}"}`)).toBe(1);
    const used = await metric(node, "kura_memory_used_bytes");
    const soft = await metric(node, "kura_memory_soft_limit_bytes");
    const hard = await metric(node, "kura_memory_hard_limit_bytes");
    expect(used).toBeGreaterThan(4 * MiB);
    expect(hard).toBeGreaterThan(soft);
  });

  test.each(dialects.map((dialect) => [dialect.name, dialect] as const))(
    "answers reads of %s, and what it is sent again",
    async (_, dialect) => {
      const answer = await fetch(urlOf(node, dialect, oldId));
      expect(answer.status).toBe(200);
      expect(new Uint8Array(await answer.arrayBuffer())).toEqual(body);
      const again = await fetch(urlOf(node, dialect, oldId), { method: dialect.write, body });
      expect(again.status).toBe(dialect.exists);
    },
  );

  test.each(dialects.map((dialect) => [dialect.name, dialect] as const))(
    isCritical ? "refuses writes of %s" : "takes writes of %s",
    async (_, dialect) => {
      const answer = await fetch(urlOf(node, dialect, newId), { method: dialect.write, body });
      const text = await answer.text();
      if (!isCritical) {
        expect(answer.status).toBe(dialect.stored);
        return;
      }
      expect(text).toContain("short of memory");
      if (dialect.isText) {
        expect(answer.status).toBe(403);
        expect(answer.headers.get("content-type")).toStartWith("text/plain");
        return;
      }
      expect(answer.status).toBe(429);
      expect(answer.headers.get("retry-after")).toMatch(/^([1-9]|10)$/);
      expect((await fetch(urlOf(node, dialect, newId))).status).toBe(404);
    },
  );

  test("keeps of its caches what the tier leaves", async () => {
    const capacity = await metric(node, "kura_manifest_cache_capacity_entries");
    for (let round = 0; round < 4; round++) {
      for (let key = 0; key < smallReads; key++) {
        expect((await fetch(smallUrl(node, key))).status).toBe(200);
      }
    }
    const entries = await metric(node, "kura_manifest_cache_entries");
    const bodies = await metric(node, "kura_body_cache_bytes");
    const wanted: Record<MemoryTier, boolean> = {
      normal: capacity > 50_000 && entries >= smallReads && bodies > 0,
      constrained: capacity > 25_000 && capacity < 50_000 && entries === 0 && bodies > 0,
      critical: capacity === 8 && entries === 0 && bodies === 0,
    };
    expect(`${wanted[tier]} of ${capacity} ${entries} ${bodies}`).toStartWith("true");
  });

  test(isCritical ? "refuses parts of modules" : "takes parts of modules", async () => {
    const started = await startModule(node.url, { ...module, name: "Other" });
    const part = await sendPart(node.url, { id: uploadId, number: 1, body: partBody(1, 10_000) });
    const completed = await completeModule(node.url, { id: uploadId, document: { parts: [1] } });
    const read = await getModule(node.url, module);
    const statuses = [started, part, completed, read].map(({ status }) => status);
    expect(statuses).toEqual(isCritical ? [429, 429, 429, 404] : [200, 204, 204, 200]);
  });

  test(isCritical ? "refuses key-value entries" : "takes key-value entries", async () => {
    const url = `${node.url}/api/cache/keyvalue?tenant_id=acme&namespace_id=${namespace}`;
    const document = JSON.stringify({ cas_id: "kv", entries: [{ value: "x" }] });
    const headers = { "content-type": "application/json" };
    const { status } = await fetch(url, { method: "PUT", body: document, headers });
    expect(status).toBe(isCritical ? 429 : 204);
  });

  test(isCritical ? "refuses writes of gRPC" : "takes writes of gRPC", async () => {
    const { resourceExhausted } = grpcCodes;
    const fresh = makeContent(`fresh ${tier}`, 100 * KiB);
    const written = await client.write(blobName(digestOf(fresh), true), fresh);
    const small = makeContent(`small ${tier}`, 100);
    const batch = await client.call("ContentAddressableStorage/BatchUpdateBlobs", {
      instanceName: instance,
      requests: [{ digest: digestOf(small), data: small }],
    });
    const updated = await client.call("ActionCache/UpdateActionResult", {
      instanceName: instance,
      actionDigest: digestOf(small),
      actionResult: { exitCode: 3 },
    });
    const ends = [written, batch, updated];
    const code = isCritical ? resourceExhausted : grpcCodes.ok;
    expect(ends.map((end) => end.code)).toEqual([code, code, code]);
    if (!isCritical) return;
    for (const { words, retryAfterSeconds } of ends) {
      expect(words).toContain("short of memory");
      expect(retryAfterSeconds).toBeGreaterThanOrEqual(1);
      expect(retryAfterSeconds).toBeLessThanOrEqual(10);
    }
    const known = await client.write(blobName(digestOf(blob), true), blob);
    expect([known.code, known.value]).toEqual([0, blob.length]);
  });

  test("answers reads of gRPC, with what it inlines as long as memory allows", async () => {
    const read = await client.read(blobName(digestOf(blob), false));
    expect(Buffer.compare(read.value, blob)).toBe(0);
    type Result = { readonly outputFiles: { contents: Uint8Array }[] };
    const result = await client.call<Result>("ActionCache/GetActionResult", {
      instanceName: instance,
      actionDigest: action,
      inlineOutputFiles: ["a"],
    });
    expect(result.code).toBe(0);
    const inlined = result.value.outputFiles[0]?.contents.length ?? -1;
    expect(inlined).toBe(isCritical ? 0 : blob.length);
  });

  test("empties a namespace that is to be cleaned", async () => {
    const url = `${node.url}/api/cache/clean?tenant_id=acme&namespace_id=${namespace}`;
    expect((await fetch(url, { method: "DELETE" })).status).toBe(204);
    expect((await fetch(smallUrl(node, 1))).status).toBe(404);
  });
});

test("clients that were refused together are told to come back at different times", async () => {
  await using node = await startNode({ env: { KURA_MEMORY_PRESSURE_PIN: "critical" } });
  const waits = new Set<string | null>();
  for (let key = 0; key < 60; key++) {
    const answer = await fetch(smallUrl(node, key), { method: "PUT", body });
    waits.add(answer.headers.get("retry-after"));
  }
  expect(waits.size).toBeGreaterThan(5);
  expect(await metric(node, "kura_memory_refused_writes_total")).toBe(60);
});
