import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { seededRandom } from "../../runtime/base/random.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import { grpcCodes } from "../../runtime/wire/grpc/status.ts";
import { type Digest, digestOf } from "../support/reapi-client.ts";
import { encodeProto } from "../support/reapi-protos.ts";
import { type Endpoint, judged, openEndpoint } from "./endpoint.ts";

/** Points of the conformance list about blobs in batches and their presence. */
describe.each(judged)("%s", (engine) => {
  let endpoint: Endpoint;
  beforeAll(async () => {
    endpoint = await openEndpoint(engine);
  });
  afterAll(async () => {
    await endpoint[Symbol.asyncDispose]();
  });

  const random = seededRandom(20);
  const cas = "ContentAddressableStorage";
  const emptyDigest = digestOf(new Uint8Array(0));

  async function missing(blobDigests: readonly Digest[], digestFunction = 0) {
    const request = { instanceName: endpoint.instance, blobDigests, digestFunction };
    const ended = await endpoint.client.call<{ missingBlobDigests: Digest[] }>(
      `${cas}/FindMissingBlobs`,
      request,
    );
    return { code: ended.code, digests: ended.value.missingBlobDigests };
  }

  type Item = { digest?: Digest; data: Uint8Array; compressor?: number };

  async function update(requests: readonly Item[]) {
    const ended = await endpoint.client.call<{
      responses: { digest: Digest | null; status: { code: number } }[];
    }>(`${cas}/BatchUpdateBlobs`, { instanceName: endpoint.instance, requests });
    const { responses } = ended.value;
    return { code: ended.code, responses, codes: responses.map(({ status }) => status.code) };
  }

  async function readAll(digests: readonly Digest[], acceptableCompressors: number[] = []) {
    const ended = await endpoint.client.call<{
      responses: { digest: Digest; data: Uint8Array; status: { code: number } }[];
    }>(`${cas}/BatchReadBlobs`, {
      instanceName: endpoint.instance,
      digests,
      acceptableCompressors,
    });
    return { code: ended.code, responses: ended.value.responses };
  }

  describe("1: the empty blob", () => {
    test("is never missing and is read as no bytes, though nobody has uploaded it", async () => {
      expect(await missing([emptyDigest])).toEqual({ code: 0, digests: [] });
      const { responses } = await readAll([emptyDigest]);
      expect(responses.map(({ status, data }) => [status.code, data.length])).toEqual([[0, 0]]);
      expect((await update([{ digest: emptyDigest, data: new Uint8Array(0) }])).codes).toEqual([0]);
    });

    test("of size zero under another hash is not stored", async () => {
      const digest = { hash: "a".repeat(64), sizeBytes: 0 };
      const { codes } = await update([{ digest, data: new Uint8Array(0) }]);
      expect(codes).toEqual([grpcCodes.invalidArgument]);
    });
  });

  test("2: a right hash with a wrong size is neither found nor read", async () => {
    const data = random.bytes(100);
    const digest = digestOf(data);
    expect((await update([{ digest, data }])).codes).toEqual([0]);
    const wrong = { ...digest, sizeBytes: 99 };
    expect((await missing([digest, wrong])).digests).toEqual([wrong]);
    const { responses } = await readAll([wrong]);
    expect(responses.map(({ status }) => status.code)).toEqual([grpcCodes.notFound]);
  });

  test("8, 13: what does not fit its digest is refused by itself and not stored, the others are", async () => {
    const [good, bad, short] = [random.bytes(10), random.bytes(10), random.bytes(10)];
    const updated = await update([
      { digest: digestOf(good), data: good },
      { digest: digestOf(bad), data: good },
      { digest: { ...digestOf(short), sizeBytes: 9 }, data: short },
      { data: good },
    ]);
    const { invalidArgument } = grpcCodes;
    expect(updated.code).toBe(0);
    expect(updated.codes).toEqual([0, invalidArgument, invalidArgument, invalidArgument]);
    expect(updated.responses.map(({ digest }) => digest?.hash)).toEqual([
      digestOf(good).hash,
      digestOf(bad).hash,
      digestOf(short).hash,
      undefined,
    ]);
    const { digests } = await missing([good, bad, short].map(digestOf));
    expect(digests).toEqual([digestOf(bad), digestOf(short)]);
  });

  describe("12: digest functions", () => {
    test.each([
      ["SHA1", 2, "sha1"],
      ["SHA384", 5, "sha384"],
      ["SHA512", 6, "sha512"],
    ] as const)("%s is stored and found, named or not", async (_, number, algorithm) => {
      const data = random.bytes(50);
      const hash = new Bun.CryptoHasher(algorithm).update(data).digest("hex");
      const digest = { hash, sizeBytes: data.length };
      expect((await update([{ digest, data }])).codes).toEqual([0]);
      expect(await missing([digest], number)).toEqual({ code: 0, digests: [] });
      expect(await missing([digest])).toEqual({ code: 0, digests: [] });
      expect((await missing([digest], 1)).code).toBe(grpcCodes.invalidArgument);
    });

    test.each([3, 4, 7, 8, 9, 10, 99])("number %d is refused by name", async (number) => {
      const digest = digestOf(random.bytes(5));
      expect((await missing([digest], number)).code).toBe(grpcCodes.invalidArgument);
    });

    test.each(["", "abc", "A".repeat(64), "g".repeat(64), "a".repeat(32)])(
      "%p is no hash of any",
      async (hash) => {
        expect((await missing([{ hash, sizeBytes: 1 }])).code).toBe(grpcCodes.invalidArgument);
      },
    );
  });

  test("13: a batch is read in its order, with a status for each", async () => {
    const [one, two] = [random.bytes(30), random.bytes(40)];
    await update([one, two].map((data) => ({ digest: digestOf(data), data })));
    const absent = digestOf(random.bytes(7));
    const { code, responses } = await readAll([digestOf(two), absent, digestOf(one)], [0, 1]);
    expect(code).toBe(0);
    expect(responses.map(({ status }) => status.code)).toEqual([0, grpcCodes.notFound, 0]);
    expect(responses.map(({ digest }) => digest)).toEqual([digestOf(two), absent, digestOf(one)]);
    expect(responses.map(({ data }) => Buffer.from(data))).toEqual([
      Buffer.from(two),
      Buffer.alloc(0),
      Buffer.from(one),
    ]);
  });

  describe("14, 15: the size of a batch", () => {
    test("that is advertised fits into 4 MiB with what is around it, and is taken and given", async () => {
      const ended = await endpoint.client.call<{
        cacheCapabilities: { maxBatchTotalSizeBytes: number };
      }>("Capabilities/GetCapabilities", { instanceName: endpoint.instance });
      const { maxBatchTotalSizeBytes } = ended.value.cacheCapabilities;
      expect(maxBatchTotalSizeBytes).toBeGreaterThan(0);
      expect(maxBatchTotalSizeBytes).toBeLessThanOrEqual(4 * MiB - 64 * KiB);

      const data = random.bytes(maxBatchTotalSizeBytes);
      expect((await update([{ digest: digestOf(data), data }])).codes).toEqual([0]);
      const { responses } = await readAll([digestOf(data)]);
      expect(Buffer.compare(responses[0]?.data ?? new Uint8Array(0), data)).toBe(0);

      const larger = random.bytes(maxBatchTotalSizeBytes + 1);
      expect((await update([{ digest: digestOf(larger), data: larger }])).code).toBe(
        grpcCodes.invalidArgument,
      );
      expect((await readAll([digestOf(larger)])).code).toBe(grpcCodes.invalidArgument);
    });

    test("of 50,000 digests is no trouble for FindMissingBlobs", async () => {
      const digests = Array.from({ length: 50_000 }, (_, i) => ({
        hash: i.toString(16).padStart(64, "0"),
        sizeBytes: 1,
      }));
      const found = await missing(digests);
      expect([found.code, found.digests?.length]).toEqual([0, digests.length]);
    });
  });

  test("Buck2 sends batches of 4,000,000 bytes, and takes messages of 4 MiB", async () => {
    const large = random.bytes(2_000_000);
    const blobs = [large, ...Array.from({ length: 200 }, () => random.bytes(10_000))];
    const requests = blobs.map((data) => ({ digest: digestOf(data), data }));
    const { instance: instanceName } = endpoint;
    const updated = await endpoint.client.call<{
      responses: { status: { code: number } | null }[];
    }>("ContentAddressableStorage/BatchUpdateBlobs", { instanceName, requests });
    expect(updated.value.responses.map(({ status }) => status?.code ?? 0)).toEqual(
      blobs.map(() => 0),
    );
    const { code, value } = await endpoint.client.unary(
      "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs",
      encodeProto("BatchReadBlobsRequest", { instanceName, digests: blobs.map(digestOf) }),
    );
    expect([code, (value?.length ?? 0) > 4_000_000]).toEqual([0, true]);
    expect(value?.length ?? 0).toBeLessThan(4 * MiB);
  });

  test("16: FindMissingBlobs keeps order and duplicates, and knows what was written by other ways", async () => {
    const data = random.bytes(2 * MiB);
    const digest = digestOf(data);
    const { instance, client } = endpoint;
    const absent = digestOf(random.bytes(3));
    expect((await missing([absent, digest, absent])).digests).toEqual([absent, digest, absent]);
    const name = `${instance}/uploads/u/blobs/${digest.hash}/${digest.sizeBytes}`;
    expect((await client.write(name, data)).value).toBe(digest.sizeBytes);
    expect((await missing([absent, digest, absent])).digests).toEqual([absent, absent]);
    const { responses } = await readAll([digest]);
    expect(Buffer.compare(responses[0]?.data ?? new Uint8Array(0), data)).toBe(0);
  });
});
