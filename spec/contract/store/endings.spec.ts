import { expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { systemClock } from "../../../runtime/base/clock.ts";
import { systemRandom } from "../../../runtime/base/random.ts";
import { realDisk } from "../../../runtime/base/real-disk.ts";
import { MiB } from "../../../runtime/base/units.ts";
import { makeScope, nameArtifact } from "../../../runtime/store/identity.ts";
import type { NodeStore } from "../../../runtime/store/node-store.ts";
import { openStore } from "../../../runtime/store/open.ts";
import type { BodyFacts, PutChange } from "../../../runtime/store/store.ts";

const scope = makeScope("acme", "ios");
const facts: BodyFacts = { kind: "nx", sha256: null, attributes: {}, writer: "" };

function open(dataDir: string, notes: Record<string, unknown>[] = []): NodeStore {
  const options = {
    dataDir,
    capacityBytes: 64 * MiB,
    manifestCacheBytesMax: MiB,
    bodyCacheBytesMax: MiB,
    indexCacheBytes: MiB,
    walBytesMax: 4 * MiB,
    note: (event: string, details: Record<string, unknown>) => notes.push({ event, ...details }),
  };
  return openStore(options, { disk: realDisk, clock: systemClock, random: systemRandom });
}

function putOf(key: string, body: PutChange["body"]): PutChange {
  const name = nameArtifact("nx", scope, key);
  const contentType = "application/octet-stream";
  return { op: "put", name, rule: "firstWins", contentType, body, ...facts };
}

function makeFolder(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), "kura-node-store-"));
}

test("a rebuild that was ended in the middle goes on where it was", async () => {
  const dataDir = makeFolder();
  const count = 3_000;
  const first = open(dataDir);
  await first.ready;
  const puts = Array.from({ length: count }, (_, i) => putOf(`k${i}`, new Uint8Array(20)));
  await Promise.all(puts.map((put) => first.commit(put)));
  await first.close();
  for (const name of fs.readdirSync(dataDir)) {
    if (name.startsWith("kura.db")) fs.rmSync(path.join(dataDir, name));
  }

  const ended = open(dataDir);
  // Some transactions of the rebuild, not all; how many turns of the loop that takes is up to the disk.
  const hasBegun = (): boolean => {
    const state = ended.state();
    return state.at !== "recovering" || state.doneBytes > 0;
  };
  while (!hasBegun()) await new Promise((resolve) => setImmediate(resolve));
  expect(ended.state().at).toBe("recovering");
  await ended.close();

  const notes: Record<string, unknown>[] = [];
  const next = open(dataDir, notes);
  await next.ready;
  const events = notes.map(({ event }) => event);
  expect(events).not.toContain("index set aside");
  const recovered = notes.find(({ event }) => event === "recovered");
  expect(Number(recovered?.records)).toBeLessThan(count);
  for (const { name } of puts) expect(next.find(name)).not.toBeNull();
  await next.close();
  fs.rmSync(dataDir, { recursive: true, force: true });
});

test("a large body that is refused at the door leaves no file", async () => {
  const dataDir = makeFolder();
  const store = open(dataDir);
  await store.ready;
  const stage = store.stage(0);
  await stage.write(new Uint8Array(2 * MiB));
  const staged = await stage.finish(nameArtifact("nx", scope, "large"), facts);
  expect(fs.readdirSync(path.join(dataDir, "large")).length).toBe(1);
  await store.close();
  expect(store.commit(putOf("large", staged))).rejects.toThrow("closing");
  expect(fs.readdirSync(path.join(dataDir, "large"))).toEqual([]);
  fs.rmSync(dataDir, { recursive: true, force: true });
});

test("a large body found damaged by its check is a miss at the next look, not another check", async () => {
  const dataDir = makeFolder();
  const store = open(dataDir);
  await store.ready;
  const name = nameArtifact("nx", scope, "large");
  const stage = store.stage(0);
  await stage.write(new Uint8Array(2 * MiB));
  await store.commit(putOf("large", await stage.finish(name, facts)));
  const [file = ""] = fs.readdirSync(path.join(dataDir, "large"));
  const handle = fs.openSync(path.join(dataDir, "large", file), "r+");
  fs.writeSync(handle, new Uint8Array([1]), 0, 1, MiB);
  fs.closeSync(handle);
  const manifest = store.find(name);
  if (manifest === null) throw new Error("the artifact is there before its check");
  const body = store.open(manifest, 0, manifest.sizeBytes);
  if (body.at !== "check") throw new Error(`a large body is checked first, not ${body.at}`);
  await body.done;
  expect(store.open(manifest, 0, manifest.sizeBytes).at).toBe("damaged");
  expect(store.find(name)).toBeNull();
  await store.close();
  fs.rmSync(dataDir, { recursive: true, force: true });
});
