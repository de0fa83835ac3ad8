import { expect, test } from "bun:test";
import type { HoldingFacts, SpaceReport } from "../../../runtime/catalog/space-report.ts";
import { type NodeProcess, startNode } from "../../support/node-process.ts";
import { complaints, kura, scratch } from "./run.ts";

const gradle = (key: string, namespace: string): string =>
  `/api/cache/gradle/${key}?tenant_id=acme&namespace_id=${namespace}`;

async function put(node: NodeProcess, path: string, sizeBytes: number): Promise<void> {
  const body = Buffer.alloc(sizeBytes, path);
  expect((await fetch(node.url + path, { method: "PUT", body })).ok).toBe(true);
}

async function read(node: NodeProcess, path: string): Promise<number> {
  const answer = await fetch(node.url + path);
  await answer.arrayBuffer();
  return answer.status;
}

async function fill(node: NodeProcess): Promise<void> {
  for (let i = 0; i < 10; i++) await put(node, gradle(`k${i}`, "ios"), 4_000);
  for (let i = 0; i < 5; i++) await put(node, gradle(`k${i}`, "tvos"), 1_000);
  for (let i = 0; i < 3; i++) await put(node, gradle(`k${i}`, "old"), 500);
  await put(node, gradle("large", "ios"), 3_000_000);
  await put(node, "/v1/cache/123", 700);
  const clean = "/api/cache/clean?tenant_id=acme&namespace_id=old";
  expect((await fetch(node.url + clean, { method: "DELETE" })).status).toBe(204);
}

async function inspect(dataDir: string, ...args: string[]): Promise<SpaceReport> {
  const run = await kura(["inspect", "space", "--data-dir", dataDir, ...args]);
  expect({ code: run.code, stderr: run.stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(run.stdout) as SpaceReport;
}

const placeOf = ({ tenant, namespace, producer, artifactCount }: HoldingFacts): string =>
  `${tenant}/${namespace} ${producer} ${artifactCount}`;

const kept = ["acme/ios gradle 11", "acme/tvos gradle 5", "acme/nx nx 1"];

test("a running node tells who fills it, how well they hit and why they miss; a stopped one what its files tell", async () => {
  using made = scratch();
  const env = { KURA_TENANT_ID: "acme" };
  {
    await using node = await startNode({ dataDir: made.folder, env });
    await fill(node);
    for (let i = 0; i < 6; i++) expect(await read(node, gradle(`k${i}`, "ios"))).toBe(200);
    for (let i = 0; i < 2; i++) expect(await read(node, gradle(`new${i}`, "ios"))).toBe(404);
    expect(await read(node, gradle("k1", "old"))).toBe(404);
    const report = await inspect(made.folder);
    expect(report.holdings.map(placeOf)).toEqual([...kept, "acme/old gradle 0"]);
    expect(report.pointerReads).toEqual({
      hits: 6,
      misses: 3,
      hitPercent: 66.7,
      missReasons: { never_written: 2, cleaned: 1 },
    });
    expect(report.holdings[0]?.pointerReads).toMatchObject({ hits: 6, misses: 2, hitPercent: 75 });
    expect(report.onceHerePercent).toBe(0);
    expect(report.cleanedCount).toBe(3);
    expect(report.capacityBytes).toBeGreaterThan(report.usedBytes);
    expect(report.artifactBytes).toBeLessThan(report.usedBytes);
    const one = await inspect(made.folder, "--limit", "1");
    expect(one.holdings.map(placeOf)[0]).toBe("acme/ios gradle 11");
    expect(one.others.artifactCount).toBe(6);
    expect(await node.stop()).toBe(0);
  }
  const stopped = await inspect(made.folder);
  expect(stopped.holdings.map(placeOf)).toEqual(kept);
  expect(stopped).toMatchObject({ pointerReads: null, onceHerePercent: null, capacityBytes: null });
  expect(stopped.cleanedCount).toBe(3);
  const [oldest] = stopped.nextToGo.filter(({ kind }) => kind === "segment");
  expect(oldest?.liveBytes).toBeGreaterThan(45_000);
});

test("a limit that is none is refused with 64", async () => {
  using made = scratch();
  const run = await kura(["inspect", "space", "--limit", "0", "--data-dir", made.folder]);
  expect(run.code).toBe(64);
  expect(complaints(run)).toEqual([expect.stringContaining("1 to 1000")]);
});
