import { expect, test } from "bun:test";
import { seededRandom } from "../../../../../runtime/base/random.ts";
import { KiB, MiB, minute, second } from "../../../../../runtime/base/units.ts";
import { nameBlob } from "../../../../../runtime/catalog/reapi.ts";
import { makeScope } from "../../../../../runtime/store/identity.ts";
import { IncomingBlob } from "../../../../../runtime/surface/grpc/incoming-blob.ts";
import { Uploads } from "../../../../../runtime/surface/grpc/uploads.ts";
import { WatchedUpload } from "../../../../../runtime/surface/grpc/watched-upload.ts";
import type { Incoming } from "../../../../../runtime/wire/grpc/method.ts";
import type { WireDigest } from "../../../../../runtime/wire/proto/digest.ts";
import { digestOf, type WriteMessage } from "../../../../support/reapi-client.ts";
import { encodeProto } from "../../../../support/reapi-protos.ts";
import { type SpecServer, SteppedClock, startServer } from "../../../../support/server.ts";

const random = seededRandom(25);
const scope = makeScope("t", "uploads");
const never = new AbortController().signal;
const keptBytesMax = 1 * MiB;

type Bench = AsyncDisposable & {
  readonly server: SpecServer;
  readonly clock: SteppedClock;
  readonly uploads: Uploads;
  begin(data: Uint8Array): Promise<IncomingBlob>;
  /** An upload that broke off after so many bytes. */
  keep(key: string, receivedBytes: number): Promise<void>;
};

async function setUp(env: Readonly<Record<string, string>> = {}): Promise<Bench> {
  const server = await startServer({ env });
  const clock = new SteppedClock();
  const uploads = new Uploads(clock, keptBytesMax);
  const { config, budget, gathering, store } = server;
  const deps = { config, budget, gathering, store: () => store, makeRoom: () => uploads.dropAll() };
  const begin = (data: Uint8Array): Promise<IncomingBlob> => {
    const digest: WireDigest = { digestFunction: "sha256", ...digestOf(data) };
    return IncomingBlob.begin(deps, digest, () => never);
  };
  return {
    server,
    clock,
    uploads,
    begin,
    async keep(key, receivedBytes) {
      const blob = await begin(random.bytes(receivedBytes + 1));
      await blob.add(random.bytes(receivedBytes));
      const upload = new WatchedUpload(silence, () => clock.monotonicMs());
      uploads.watch(upload);
      uploads.name(upload, { upload: key, blob: key }, () => blob.receivedBytes);
      await uploads.keep(upload, { upload: key, blob: key }, blob);
      uploads.forget(upload, { upload: key, blob: key });
    },
    async [Symbol.asyncDispose]() {
      uploads.dropAll();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A client that sends nothing. */
const silence: Incoming = {
  next: () => new Promise(() => {}),
  nextAtOnce: () => null,
  giveBack() {},
  allHasCome() {},
  setAside() {},
};

function messages(list: readonly WriteMessage[]): Incoming {
  const rest = list.map((each) => encodeProto("google.bytestream.WriteRequest", each));
  return {
    nextAtOnce: () => null,
    giveBack() {},
    allHasCome() {},
    setAside() {},
    next: () => {
      const message = rest.shift();
      return message === undefined ? new Promise(() => {}) : Promise.resolve(message);
    },
  };
}

test("what broke off is forgotten after ten minutes, and its memory and disk are free", async () => {
  await using bench = await setUp();
  await bench.keep("a", 100 * KiB);
  expect(bench.uploads.receivedBytes("a")).toBe(100 * KiB);
  expect([bench.server.budget.usedBytes, bench.server.gathering.usedBytes]).toEqual([0, 0]);
  bench.clock.step(10 * minute - second);
  expect(bench.uploads.receivedBytes("a")).toBe(100 * KiB);
  bench.clock.step(2 * second);
  expect(bench.uploads.receivedBytes("a")).toBeNull();
  expect(bench.uploads.keptBytes).toBe(0);
  expect(bench.server.store.usage().largeFileCount).toBe(0);
});

test("beyond their share of the disk the oldest go first", async () => {
  await using bench = await setUp();
  for (const key of ["a", "b", "c", "d"]) await bench.keep(key, 300 * KiB);
  expect(["a", "b", "c", "d"].map((key) => bench.uploads.receivedBytes(key))).toEqual([
    null,
    300 * KiB,
    300 * KiB,
    300 * KiB,
  ]);
  await bench.keep("large", keptBytesMax + 1);
  expect(bench.uploads.receivedBytes("large")).toBeNull();
  expect(bench.uploads.keptCount).toBe(3);
});

test("an upload without data for a minute is ended, and messages without data do not count", async () => {
  await using bench = await setUp();
  const { clock, uploads } = bench;
  const empty: WriteMessage = { data: new Uint8Array(0) };
  const some: WriteMessage = { data: random.bytes(1) };
  const upload = new WatchedUpload(messages([some, empty, some, empty]), () => clock.monotonicMs());
  uploads.watch(upload);
  await upload.next();
  clock.step(40 * second);
  await upload.next();
  await upload.next();
  clock.step(59 * second);
  const last = upload.next();
  await last;
  const never = upload.next();
  clock.step(60 * second);
  await expect(never).rejects.toThrow("nothing came for 60 s");
  uploads.forget(upload, null);
});

test("a slow disk is not a slow client", async () => {
  await using bench = await setUp();
  const { clock, uploads } = bench;
  const some: WriteMessage = { data: random.bytes(1) };
  const upload = new WatchedUpload(messages([some, some]), () => clock.monotonicMs());
  uploads.watch(upload);
  await upload.next();
  clock.step(200 * second);
  expect((await upload.next())?.data.length).toBe(1);
  uploads.forget(upload, null);
});

test("what is left is lent once, and to nobody who says that more came", async () => {
  await using bench = await setUp();
  await bench.keep("a", 1_000);
  expect(bench.uploads.takeKept("a", 1_001)).toBeNull();
  const blob = bench.uploads.takeKept("a", 1_000);
  expect(blob?.receivedBytes).toBe(1_000);
  expect(bench.uploads.receivedBytes("a")).toBeNull();
  blob?.[Symbol.dispose]();
});

test.each([100, 64 * KiB, 200 * KiB, 1 * MiB, 3 * MiB])(
  "a blob of %d bytes is the same by way of memory, of a file, and of both",
  async (sizeBytes) => {
    await using bench = await setUp({
      KURA_UPLOAD_MEMORY_BYTES: "4MiB",
      KURA_MAX_KEYVALUE_BYTES: "64KiB",
    });
    const { server } = bench;
    const pieces = (data: Uint8Array): Uint8Array[] => {
      const cuts: Uint8Array[] = [];
      for (let at = 0; at < data.length; ) {
        const next = Math.min(data.length, at + 1 + random.below(100 * KiB));
        cuts.push(data.subarray(at, next));
        at = next;
      }
      return cuts;
    };
    for (const way of ["alone", "beside others", "kept half way"]) {
      const data = random.bytes(sizeBytes);
      const { hash } = digestOf(data);
      const beside = way === "beside others" ? server.gathering.limitBytes : 0;
      expect(server.gathering.tryTake(beside)).toBe(true);
      using blob = await bench.begin(data);
      for (const [at, piece] of pieces(data).entries()) {
        if (way === "kept half way" && at === 1) await blob.toDisk();
        await blob.add(piece);
      }
      server.gathering.give(beside);
      const name = nameBlob(scope, "sha256", hash);
      const body = await blob.finish(name, () => never);
      const outcome = await server.store.commit({
        op: "put",
        name,
        rule: "firstWins",
        contentType: "application/octet-stream",
        body,
        kind: "blob",
        sha256: null,
        attributes: {},
        writer: "",
      });
      expect(outcome.at).toBe("stored");
      const manifest = server.store.find(name);
      expect(manifest?.sizeBytes).toBe(sizeBytes);
    }
    expect([server.budget.usedBytes, server.gathering.usedBytes]).toEqual([0, 0]);
  },
);

test("more bytes than the digest says, fewer, or others are refused", async () => {
  await using bench = await setUp();
  const data = random.bytes(5_000);
  const name = nameBlob(scope, "sha256", digestOf(data).hash);
  using long = await bench.begin(data);
  await long.add(data);
  expect(() => long.add(random.bytes(1))).toThrow("more than the 5000 bytes");
  using short = await bench.begin(data);
  await short.add(data.subarray(1));
  await expect(short.finish(name, () => never)).rejects.toThrow("4999 bytes came");
  using other = await bench.begin(data);
  await other.add(random.bytes(5_000));
  await expect(other.finish(name, () => never)).rejects.toThrow("its own hash is");
});
