import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { seededRandom } from "../../runtime/base/random.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import { grpcCodes } from "../../runtime/wire/grpc/status.ts";
import { type Digest, digestOf, type WriteMessage } from "../support/reapi-client.ts";
import { type Endpoint, judged, openEndpoint } from "./endpoint.ts";

/** Points 1, 4, 5, 6, 7, 8 and 13 as far as they are about zstd. */
describe.each(judged)("%s", (engine) => {
  let endpoint: Endpoint;
  beforeAll(async () => {
    endpoint = await openEndpoint(engine);
  });
  afterAll(async () => {
    await endpoint[Symbol.asyncDispose]();
  });

  const random = seededRandom(22);
  const { invalidArgument, notFound, outOfRange } = grpcCodes;
  const zstd = 1;

  const blobName = ({ hash, sizeBytes }: Digest): string =>
    `${endpoint.instance}/blobs/${hash}/${sizeBytes}`;
  const compressedName = ({ hash, sizeBytes }: Digest): string =>
    `${endpoint.instance}/compressed-blobs/zstd/${hash}/${sizeBytes}`;
  const uploadName = ({ hash, sizeBytes }: Digest): string =>
    `${endpoint.instance}/uploads/9a01/compressed-blobs/zstd/${hash}/${sizeBytes}`;
  /** Half of it cannot be compressed, the other half nearly vanishes. */
  const makeBlob = (sizeBytes: number): { data: Uint8Array; digest: Digest } => {
    const half = random.bytes(Math.ceil(sizeBytes / 2));
    const data = Buffer.concat([half, Buffer.alloc(sizeBytes - half.length, 3)]);
    return { data, digest: digestOf(data) };
  };

  describe.each([10, 1_000, 100 * KiB, 3 * MiB])("a blob of %d bytes", (sizeBytes) => {
    test("written in zstd is read in both forms", async () => {
      const { data, digest } = makeBlob(sizeBytes);
      const packed = zlib.zstdCompressSync(data);
      const ended = await endpoint.client.write(uploadName(digest), packed);
      expect(ended).toMatchObject({ code: 0, value: packed.length });
      const plain = await endpoint.client.read(blobName(digest));
      expect(Buffer.compare(plain.value, data)).toBe(0);
      const read = await endpoint.client.read(compressedName(digest));
      expect(Buffer.compare(zlib.zstdDecompressSync(read.value), data)).toBe(0);
    });

    test("5: written plain is read in zstd from any offset of its own bytes", async () => {
      const { data, digest } = makeBlob(sizeBytes);
      const name = blobName(digest).replace("/blobs/", "/uploads/9a02/blobs/");
      expect((await endpoint.client.write(name, data)).code).toBe(0);
      for (const readOffset of [0, 1, sizeBytes >> 1, sizeBytes - 1, sizeBytes]) {
        const read = await endpoint.client.read(compressedName(digest), { readOffset });
        expect(read.code).toBe(0);
        const decoded = read.value.length === 0 ? read.value : zlib.zstdDecompressSync(read.value);
        expect(Buffer.compare(decoded, data.subarray(readOffset))).toBe(0);
      }
      for (const readOffset of [-1, sizeBytes + 1]) {
        const read = await endpoint.client.read(compressedName(digest), { readOffset });
        expect(read.code).toBe(outOfRange);
      }
    });

    test("4: has no read_limit in zstd", async () => {
      const { data, digest } = makeBlob(sizeBytes);
      await endpoint.client.write(uploadName(digest), zlib.zstdCompressSync(data));
      const read = await endpoint.client.read(compressedName(digest), { readLimit: 1 });
      expect(read.code).toBe(invalidArgument);
    });

    test("7: is sent in pieces whose offsets count compressed bytes", async () => {
      const { data, digest } = makeBlob(sizeBytes);
      const packed = zlib.zstdCompressSync(data);
      const pieceBytes = Math.ceil(packed.length / 7);
      const messages: WriteMessage[] = [{ resourceName: uploadName(digest) }];
      for (let at = 0; at < packed.length; at += pieceBytes) {
        const piece = packed.subarray(at, at + pieceBytes);
        const finishWrite = at + pieceBytes >= packed.length;
        messages.push({ writeOffset: at, data: piece, finishWrite });
      }
      const ended = await endpoint.client.writeMessages(messages);
      expect(ended).toMatchObject({ code: 0, value: packed.length });
      const wrong = makeBlob(sizeBytes);
      const bytes = zlib.zstdCompressSync(wrong.data);
      const bad = await endpoint.client.writeMessages([
        { resourceName: uploadName(wrong.digest), data: bytes.subarray(0, 5) },
        { writeOffset: 6, data: bytes.subarray(5), finishWrite: true },
      ]);
      expect(bad.code).toBe(invalidArgument);
    });

    test("6: that is here already ends a write early with -1", async () => {
      const { data, digest } = makeBlob(sizeBytes);
      const packed = zlib.zstdCompressSync(data);
      await endpoint.client.write(uploadName(digest), packed);
      const again: WriteMessage = { resourceName: uploadName(digest), data: packed.subarray(0, 3) };
      expect(await endpoint.client.writeMessages([again])).toMatchObject({ code: 0, value: -1 });
    });

    test("8: that is damaged, cut, padded, too long or wrong is refused and not stored", async () => {
      const { data, digest } = makeBlob(sizeBytes);
      const packed = zlib.zstdCompressSync(data);
      const damaged = Buffer.from(packed);
      damaged[packed.length >> 1] = (damaged[packed.length >> 1] ?? 0) ^ 0x55;
      for (const bytes of [
        damaged,
        packed.subarray(0, -1),
        packed.subarray(1),
        Buffer.concat([packed, Buffer.from("tail")]),
        zlib.zstdCompressSync(Buffer.concat([data, Buffer.from("x")])),
        zlib.zstdCompressSync(data.subarray(1)),
        zlib.zstdCompressSync(Buffer.from(data).reverse().fill(1, 0, 1)),
        data,
      ]) {
        const ended = await endpoint.client.write(uploadName(digest), bytes);
        expect(ended.code).toBe(invalidArgument);
      }
      expect((await endpoint.client.read(blobName(digest))).code).toBe(notFound);
    });
  });

  test("several frames are one blob, wherever messages cut them", async () => {
    const { data, digest } = makeBlob(200 * KiB);
    const cutAt = 70_000;
    const packed = Buffer.concat([
      zlib.zstdCompressSync(data.subarray(0, cutAt)),
      zlib.zstdCompressSync(data.subarray(cutAt)),
    ]);
    const messages: WriteMessage[] = [{ resourceName: uploadName(digest) }];
    for (let at = 0; at < packed.length; at += 30_001) {
      const piece = packed.subarray(at, at + 30_001);
      messages.push({
        writeOffset: at,
        data: piece,
        finishWrite: at + piece.length === packed.length,
      });
    }
    const ended = await endpoint.client.writeMessages(messages);
    expect(ended).toMatchObject({ code: 0, value: packed.length });
    const read = await endpoint.client.read(blobName(digest));
    expect(Buffer.compare(read.value, data)).toBe(0);
  });

  test("a bomb is refused before it has grown", async () => {
    const bomb = zlib.zstdCompressSync(Buffer.alloc(256 * MiB));
    expect(bomb.length).toBeLessThan(64 * KiB);
    const digest = digestOf(Buffer.alloc(1_000));
    expect((await endpoint.client.write(uploadName(digest), bomb)).code).toBe(invalidArgument);
    const batch = await endpoint.client.call<{ responses: { status: { code: number } | null }[] }>(
      "ContentAddressableStorage/BatchUpdateBlobs",
      {
        instanceName: endpoint.instance,
        requests: [{ digest, data: bomb, compressor: zstd }],
      },
    );
    expect(batch.value.responses[0]?.status?.code).toBe(invalidArgument);
  });

  test("frames that bring nothing are taken in bounds", async () => {
    const { data, digest } = makeBlob(1_000);
    const skippable = Buffer.concat([
      Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0xe8, 0x03, 0, 0]),
      Buffer.alloc(1_000),
    ]);
    const packed = Buffer.concat([skippable, zlib.zstdCompressSync(data)]);
    expect(await endpoint.client.write(uploadName(digest), packed)).toMatchObject({
      code: 0,
      value: packed.length,
    });
    const endless = Buffer.concat(Array.from({ length: 100 }, () => skippable));
    const other = makeBlob(1_000);
    const ended = await endpoint.client.write(uploadName(other.digest), endless);
    expect(ended.code).toBe(invalidArgument);
  });

  test("1: the empty blob is an empty frame", async () => {
    const read = await endpoint.client.read(compressedName(digestOf(new Uint8Array(0))));
    expect(read.code).toBe(0);
    expect(zlib.zstdDecompressSync(read.value).length).toBe(0);
  });

  test("a miss is NOT_FOUND in zstd too", async () => {
    expect((await endpoint.client.read(compressedName(makeBlob(99).digest))).code).toBe(notFound);
  });

  test("13: batches carry zstd both ways, and name the compressor", async () => {
    const blobs = [makeBlob(20_000), makeBlob(10), makeBlob(50_000)];
    const updated = await endpoint.client.call<{
      responses: { status: { code: number } | null }[];
    }>("ContentAddressableStorage/BatchUpdateBlobs", {
      instanceName: endpoint.instance,
      requests: blobs.map(({ data, digest }) => {
        return { digest, data: zlib.zstdCompressSync(data), compressor: zstd };
      }),
    });
    for (const { status } of updated.value.responses) expect(status?.code ?? 0).toBe(0);
    type Read = { responses: { data: Uint8Array; compressor: number }[] };
    for (const acceptableCompressors of [[], [0], [zstd], [0, zstd]]) {
      const read = await endpoint.client.call<Read>("ContentAddressableStorage/BatchReadBlobs", {
        instanceName: endpoint.instance,
        digests: blobs.map(({ digest }) => digest),
        acceptableCompressors,
      });
      for (const [at, { data, compressor }] of read.value.responses.entries()) {
        const isPacked = compressor === zstd;
        expect(isPacked && !acceptableCompressors.includes(zstd)).toBe(false);
        const plain = isPacked ? zlib.zstdDecompressSync(data) : data;
        expect(Buffer.compare(plain, blobs[at]?.data ?? data)).toBe(0);
      }
      const packedCount = read.value.responses.filter(
        ({ compressor }) => compressor === zstd,
      ).length;
      expect(packedCount).toBe(acceptableCompressors.includes(zstd) ? 2 : 0);
    }
  });
});
