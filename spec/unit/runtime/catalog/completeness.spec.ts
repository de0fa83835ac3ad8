import { expect, test } from "bun:test";
import fc from "fast-check";
import { ByteBudget } from "../../../../runtime/base/budget.ts";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { type CompletenessDeps, judgeResult } from "../../../../runtime/catalog/completeness.ts";
import { nameBlob } from "../../../../runtime/catalog/reapi.ts";
import { bytesKey, makeScope } from "../../../../runtime/store/identity.ts";
import type { Body, Manifest } from "../../../../runtime/store/store.ts";
import {
  type DigestMessage,
  encodeActionResult,
  encodeTree,
} from "../../../support/reapi-messages.ts";
import { SteppedClock } from "../../../support/server.ts";
import { tier } from "../../../support/tier.ts";

const numRuns = { fast: 300, ci: 3_000, long: 100_000 }[tier()];
const scope = makeScope("acme", "ios");

/** In which of its ways a store hands a body out. */
type Way = "bytes" | "slice" | "check" | "checkForever" | "damaged";

/** A store of bodies in memory that hands each out in the way it was told. */
class ShelfStore {
  readonly #bodies = new Map<string, { bytes: Uint8Array; way: Way; manifest: Manifest }>();
  lookups = 0;

  put(id: Uint8Array, bytes: Uint8Array, way: Way = "bytes"): Manifest {
    const manifest: Manifest = {
      id,
      file: this.#bodies.size,
      offsetBytes: 0,
      metadataBytes: 0,
      sizeBytes: bytes.length,
      seq: 1,
      version: 1,
      origin: 1,
      digest: 0,
      kind: 1,
      flags: 0,
    };
    this.#bodies.set(bytesKey(id), { bytes, way, manifest });
    return manifest;
  }

  putBlob(text: string | Uint8Array, way: Way = "bytes"): DigestMessage {
    const bytes = Buffer.from(text);
    const hash = Buffer.from(sha256(bytes)).toString("hex");
    this.put(nameBlob(scope, "sha256", hash).id, bytes, way);
    return { hash, sizeBytes: bytes.length };
  }

  find({ id }: { id: Uint8Array }): Manifest | null {
    this.lookups += 1;
    return this.#bodies.get(bytesKey(id))?.manifest ?? null;
  }

  open(manifest: Manifest): Body {
    const body = this.#bodies.get(bytesKey(manifest.id));
    if (body === undefined) return { at: "damaged" };
    switch (body.way) {
      case "bytes":
        return { at: "bytes", bytes: body.bytes };
      case "slice":
        return {
          at: "slice",
          path: bytesKey(manifest.id),
          startBytes: 0,
          endBytes: manifest.sizeBytes,
        };
      case "check":
        body.way = "slice";
        return { at: "check", done: Promise.resolve() };
      case "checkForever":
        return { at: "check", done: Promise.resolve() };
      case "damaged":
        return { at: "damaged" };
    }
  }

  /** Ids of what was vouched for. */
  readonly vouched: string[] = [];

  vouch(manifest: Manifest): void {
    this.vouched.push(bytesKey(manifest.id));
  }

  async read(path: string): Promise<Uint8Array> {
    const body = this.#bodies.get(path);
    if (body === undefined) throw new Error("the file is gone");
    return body.bytes;
  }
}

function deps(store: ShelfStore): CompletenessDeps & { readonly budget: ByteBudget } {
  return {
    store,
    readSlice: ({ path }) => store.read(path),
    budget: new ByteBudget(64 * 1_024 * 1_024, new SteppedClock()),
    signal: new AbortController().signal,
  };
}

const actionId = nameBlob(scope, "sha256", "action").id;
const absent = { hash: "ab".repeat(32), sizeBytes: 3 };

test.each(["bytes", "slice", "check"] as const)(
  "a result and its tree are judged however the store hands them out (%s)",
  async (way) => {
    for (const isThere of [true, false]) {
      const store = new ShelfStore();
      const leaf = isThere ? store.putBlob("leaf") : absent;
      const tree = store.putBlob(
        encodeTree({ root: { files: [{ name: "a", digest: leaf }] } }),
        way,
      );
      const result = encodeActionResult({ outputDirectories: [{ treeDigest: tree }] });
      const own = deps(store);
      const verdict = await judgeResult(own, scope, store.put(actionId, result, way));
      expect(verdict).toBe(isThere ? "complete" : "incomplete");
      expect(store.vouched.length).toBe(isThere ? 2 : 1);
      expect(own.budget.usedBytes).toBe(0);
    }
  },
);

test("a result that cannot be read is gone, and a tree that cannot be read is not there", async () => {
  for (const way of ["damaged", "checkForever"] as const) {
    const store = new ShelfStore();
    const result = encodeActionResult({ exitCode: 1 });
    expect(await judgeResult(deps(store), scope, store.put(actionId, result, way))).toBe("gone");
    const treeDigest = store.putBlob(encodeTree({ root: {} }), way);
    const naming = encodeActionResult({ outputDirectories: [{ treeDigest }] });
    expect(await judgeResult(deps(store), scope, store.put(actionId, naming))).toBe("incomplete");
  }
});

test("the memory of a result is back before its tree is read, so that both never wait for each other", async () => {
  const store = new ShelfStore();
  const names = Array.from({ length: 100 }, (_, i) => `file ${i}`);
  const files = names.map((name) => ({ name, digest: store.putBlob(name) }));
  const treeDigest = store.putBlob(encodeTree({ root: { files } }), "slice");
  const outputFiles = files.map(({ name, digest }) => ({ path: name, digest }));
  const result = encodeActionResult({ outputFiles, outputDirectories: [{ treeDigest }] });
  const manifest = store.put(actionId, result, "slice");
  const limitBytes = Math.max(result.length, treeDigest.sizeBytes);
  const budget = new ByteBudget(limitBytes, new SteppedClock());
  expect(await judgeResult({ ...deps(store), budget }, scope, manifest)).toBe("complete");
  expect(budget.usedBytes).toBe(0);
});

test("a failing read is thrown and gives its memory back", async () => {
  const store = new ShelfStore();
  const manifest = store.put(actionId, encodeActionResult({ exitCode: 1 }), "slice");
  const own = { ...deps(store), readSlice: () => Promise.reject(new Error("EIO")) };
  await expect(judgeResult(own, scope, manifest)).rejects.toThrow("EIO");
  expect(own.budget.usedBytes).toBe(0);
});

test("opaque bytes ask the store for nothing", async () => {
  const store = new ShelfStore();
  const manifest = store.put(actionId, Buffer.from(`{"digest":"${absent.hash}"}`));
  expect(await judgeResult(deps(store), scope, manifest)).toBe("opaque");
  expect(store.lookups).toBe(0);
});

test("a long list does not keep the loop", async () => {
  const store = new ShelfStore();
  const names = Array.from({ length: 5_000 }, (_, i) => `file ${i}`);
  const digests = names.map((name) => store.putBlob(name));
  const files = digests.map((digest, i) => ({ name: names[i] ?? "", digest }));
  const treeDigest = store.putBlob(encodeTree({ root: { files } }));
  const outputFiles = digests.map((digest) => ({ path: "p", digest }));
  const result = encodeActionResult({ outputFiles, outputDirectories: [{ treeDigest }] });
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  expect(await judgeResult(deps(store), scope, store.put(actionId, result))).toBe("complete");
  isOver = true;
  expect(store.lookups).toBe(10_001);
  expect(turns).toBeGreaterThan(30);
});

test("a result is complete exactly when everything it names is there", async () => {
  const part = fc.record({
    place: fc.constantFrom("file", "stdout", "stderr", "root", "tree", "leafOfRoot", "leafOfChild"),
    isThere: fc.oneof({ weight: 6, arbitrary: fc.constant(true) }, fc.constant(false)),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
      const store = new ShelfStore();
      const placed = parts.map(({ place, isThere }, i) => {
        const text = `${place} ${i}`;
        const digest = isThere
          ? store.putBlob(text)
          : { hash: Buffer.from(sha256(text)).toString("hex"), sizeBytes: text.length };
        return { place, digest };
      });
      const at = (place: string) => placed.filter((one) => one.place === place);
      const leaves = (place: string) => ({
        files: at(place).map(({ digest }) => ({ name: "n", digest })),
      });
      const tree = store.putBlob(
        encodeTree({ root: leaves("leafOfRoot"), children: [leaves("leafOfChild")] }),
      );
      const [stdout] = at("stdout");
      const [stderr] = at("stderr");
      const result = encodeActionResult({
        exitCode: 1,
        outputFiles: at("file").map(({ digest }) => ({ path: "p", digest })),
        outputDirectories: [
          { treeDigest: tree },
          ...at("tree").map(({ digest }) => ({ treeDigest: digest })),
          ...at("root").map(({ digest }) => ({ rootDirectoryDigest: digest })),
        ],
        ...(stdout === undefined ? {} : { stdoutDigest: stdout.digest }),
        ...(stderr === undefined ? {} : { stderrDigest: stderr.digest }),
      });
      const named = parts.filter(({ place }, i) => {
        if (place !== "stdout" && place !== "stderr") return true;
        return parts.findIndex((other) => other.place === place) === i;
      });
      const isComplete = named.every(({ isThere }) => isThere);
      const verdict = await judgeResult(deps(store), scope, store.put(actionId, result));
      expect(verdict).toBe(isComplete ? "complete" : "incomplete");
    }),
    { numRuns },
  );
});
