import { expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { systemClock } from "../../../../runtime/base/clock.ts";
import { type Random, seededRandom } from "../../../../runtime/base/random.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { KiB, MiB } from "../../../../runtime/base/units.ts";
import { bytesOnDisk, type Census } from "../../../../runtime/store/census.ts";
import {
  type ArtifactName,
  makeScope,
  nameArtifact,
  type Producer,
  producers,
  type Scope,
} from "../../../../runtime/store/identity.ts";
import { OfflineStore } from "../../../../runtime/store/inspect.ts";
import type { NodeStore } from "../../../../runtime/store/node-store.ts";
import { openStore } from "../../../../runtime/store/open.ts";
import type { Kind } from "../../../../runtime/store/store.ts";

const scopes = ["acme ios", "acme ", "acme tvos", "globex ios", "acme gone"].map((text) => {
  const [tenant = "", namespace = ""] = text.split(" ");
  return makeScope(tenant, namespace);
});
const makers: readonly { producer: Producer; kind: Kind; rule: "firstWins" | "lastWins" }[] = [
  { producer: "xcode", kind: "keyValue", rule: "lastWins" },
  { producer: "gradle", kind: "gradle", rule: "firstWins" },
  { producer: "ccache", kind: "ccache", rule: "lastWins" },
];

type Put = { readonly name: ArtifactName; readonly maker: (typeof makers)[number] };

async function open(dataDir: string): Promise<NodeStore> {
  const store = openStore(
    {
      dataDir,
      capacityBytes: 512 * MiB,
      manifestCacheBytesMax: MiB,
      bodyCacheBytesMax: MiB,
      indexCacheBytes: MiB,
      walBytesMax: 16 * MiB,
      note: () => {},
    },
    { disk: realDisk, clock: systemClock, random: seededRandom(1) },
  );
  await store.ready;
  return store;
}

/** Puts, overwrites, deletes and a clean in between; every name that was ever put. */
async function fill(store: NodeStore, random: Random): Promise<Put[]> {
  const names: Put[] = [];
  for (let i = 0; i < 1_500; i++) {
    if (i === 1_000) await store.commit({ op: "clean", scope: scopes[4]! });
    const maker = makers[random.below(makers.length)]!;
    const scope = scopes[random.below(i > 1_200 ? 4 : 5)]!;
    const name = nameArtifact(maker.producer, scope, `key${random.below(400)}`);
    names.push({ name, maker });
    if (random.below(10) === 0) {
      await store.commit({ op: "delete", name, kind: maker.kind });
    } else await put(store, { name, maker }, random.bytes(random.below(8 * KiB)));
  }
  for (let i = 0; i < 3; i++) {
    const maker = makers[1]!;
    const name = nameArtifact(maker.producer, scopes[1]!, `large${i}`);
    names.push({ name, maker });
    await putLarge(store, { name, maker }, 2 * MiB + i * 300 * KiB);
  }
  return names;
}

function factsOf({ name, maker }: Put) {
  const { kind, rule } = maker;
  const facts = { kind, sha256: null, attributes: {}, writer: "" };
  const contentType = "application/octet-stream" as const;
  return { op: "put" as const, name, rule, contentType, ...facts };
}

async function put(store: NodeStore, one: Put, body: Uint8Array): Promise<void> {
  await store.commit({ ...factsOf(one), body });
}

async function putLarge(store: NodeStore, one: Put, sizeBytes: number): Promise<void> {
  const stage = store.stage(sizeBytes);
  await stage.write(Buffer.alloc(sizeBytes, 7));
  const body = await stage.finish(one.name, factsOf(one));
  await store.commit({ ...factsOf(one), body });
}

type Line = { tenant: string; namespace: string; producer: string; count: number; bytes: number };

/** What can be found under the names, which is what a census must come to. */
function recount(store: NodeStore, puts: readonly Put[]): Line[] {
  const lines = new Map<string, Line>();
  const ids = new Map(puts.map(({ name }) => [Buffer.from(name.id).toString("hex"), name]));
  for (const name of ids.values()) {
    const manifest = store.find(name);
    if (manifest === null) continue;
    const { producer, scope } = name;
    const { tenant, namespace } = scope;
    const key = `${tenant}/${namespace}/${producer}`;
    const line = lines.get(key) ?? { tenant, namespace, producer, count: 0, bytes: 0 };
    lines.set(key, {
      ...line,
      count: line.count + 1,
      bytes: line.bytes + bytesOnDisk(manifest),
    });
  }
  return [...lines.values()].sort((left, right) => right.bytes - left.bytes);
}

function linesOf(census: Census, names: readonly (Pick<Scope, "tenant" | "namespace"> | null)[]) {
  const producerOf = (number: number | undefined): string =>
    Object.entries(producers).find(([, known]) => known === number)?.[0] ?? "";
  return Array.from({ length: census.holdings.count }, (_, i) => ({
    tenant: names[i]?.tenant,
    namespace: names[i]?.namespace,
    producer: producerOf(census.holdings.producers[i]),
    count: census.holdings.artifactCounts[i],
    bytes: census.holdings.bytes[i],
  }));
}

test("a census of a store is a recount of what can be found in it, with the names of the scopes, also when it is stopped", async () => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "kura-contents-"));
  const store = await open(dataDir);
  const puts = await fill(store, seededRandom(8));
  const expected = recount(store, puts);
  const census = await store.contents.census();
  const names = await store.contents.nameHoldings(census, 1_000);
  expect(linesOf(census, names)).toEqual(expected);
  expect(census.cleaned.artifactCount).toBeGreaterThan(50);
  expect(census.deletedCount).toBeGreaterThan(5);
  expect(census.large.artifactCount).toBe(3);
  const [segment] = store.segments();
  expect([...census.segments.files]).toEqual([segment?.file ?? 0]);
  const { total, cleaned, large } = census;
  const liveBytes = total.bytes - large.bytes;
  expect(census.segments.liveBytes[0]).toBe(liveBytes);
  expect(liveBytes + cleaned.bytes).toBeLessThan(segment?.sizeBytes ?? 0);
  await store.close();
  const stopped = new OfflineStore(dataDir, { disk: realDisk, clock: systemClock });
  const again = await stopped.census();
  expect(again).toEqual(census);
  expect(linesOf(again, await stopped.nameHoldings(again, 1_000))).toEqual(expected);
  stopped.close();
  fs.rmSync(dataDir, { recursive: true, force: true });
});

test("a scope whose file is gone has no name", async () => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "kura-contents-"));
  const store = await open(dataDir);
  const [maker, scope] = [makers[1]!, scopes[0]!];
  await put(store, { name: nameArtifact("gradle", scope, "a"), maker }, new Uint8Array(10));
  const census = await store.contents.census();
  expect(await store.contents.nameHoldings(census, 5)).toEqual([
    { tenant: scope.tenant, namespace: scope.namespace },
  ]);
  const [segment] = fs.readdirSync(`${dataDir}/segments`);
  fs.rmSync(`${dataDir}/segments/${segment}`);
  expect(await store.contents.nameHoldings(census, 5)).toEqual([null]);
  await store.close();
  fs.rmSync(dataDir, { recursive: true, force: true });
});
