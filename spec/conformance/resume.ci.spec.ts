import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { seededRandom } from "../../runtime/base/random.ts";
import { KiB, MiB, second } from "../../runtime/base/units.ts";
import { grpcCodes } from "../../runtime/wire/grpc/status.ts";
import { until } from "../support/node-process.ts";
import { type Digest, digestOf } from "../support/reapi-client.ts";
import { type Endpoint, judged, openEndpoint } from "./endpoint.ts";

/** Point 24, and the part of 6 and 9 about uploads that break off or meet. */
describe.each(judged)("%s", (engine) => {
  let endpoint: Endpoint;
  beforeAll(async () => {
    endpoint = await openEndpoint(engine);
  });
  afterAll(async () => {
    await endpoint[Symbol.asyncDispose]();
  });

  const random = seededRandom(24);
  const { invalidArgument, notFound } = grpcCodes;
  let uploads = 0;

  const blobName = ({ hash, sizeBytes }: Digest): string =>
    `${endpoint.instance}/blobs/${hash}/${sizeBytes}`;
  const uploadName = ({ hash, sizeBytes }: Digest, form = "blobs"): string =>
    `${endpoint.instance}/uploads/${engine}-${uploads++}/${form}/${hash}/${sizeBytes}`;
  /** Waits until the server has so many bytes of an upload. */
  const arrived = (name: string, size: number): Promise<void> =>
    until(`${size} bytes of the upload`, async () => {
      const { code, value } = await endpoint.client.writeStatus(name);
      return code === 0 && value.size === size && !value.isComplete;
    });

  describe.each([2_000, 300 * KiB, 3 * MiB])("an upload of %d bytes", (sizeBytes) => {
    const halfBytes = Math.floor(sizeBytes / 2) + 1;

    test("that was cancelled goes on where it broke off", async () => {
      const data = random.bytes(sizeBytes);
      const digest = digestOf(data);
      const resourceName = uploadName(digest);
      const broken = endpoint.client.openWrite();
      broken.send({ resourceName, data: data.subarray(0, halfBytes) });
      await arrived(resourceName, halfBytes);
      broken.cancel();
      expect((await broken.ended).code).toBe(grpcCodes.cancelled);
      await arrived(resourceName, halfBytes);
      expect((await endpoint.client.read(blobName(digest))).code).toBe(notFound);

      const rest = { writeOffset: halfBytes, data: data.subarray(halfBytes), finishWrite: true };
      const ended = await endpoint.client.writeMessages([{ resourceName, ...rest }]);
      expect(ended).toMatchObject({ code: 0, value: sizeBytes });
      const read = await endpoint.client.read(blobName(digest));
      expect(Buffer.compare(read.value, data)).toBe(0);
      expect((await endpoint.client.writeStatus(resourceName)).value).toEqual({
        size: sizeBytes,
        isComplete: true,
      });
    });

    test("that ended without finish_write goes on, in a second and a third call", async () => {
      const data = random.bytes(sizeBytes);
      const digest = digestOf(data);
      const resourceName = uploadName(digest);
      const cuts = [0, 700, halfBytes, sizeBytes];
      for (const [at, endBytes] of [cuts.slice(0, 2), cuts.slice(1, 3)] as const) {
        const message = { resourceName, writeOffset: at ?? 0, data: data.subarray(at, endBytes) };
        const ended = await endpoint.client.writeMessages([message]);
        expect(ended.code).toBe(invalidArgument);
        await arrived(resourceName, endBytes ?? 0);
      }
      const ended = await endpoint.client.writeMessages([
        { resourceName, writeOffset: halfBytes, data: data.subarray(halfBytes), finishWrite: true },
      ]);
      expect(ended).toMatchObject({ code: 0, value: sizeBytes });
    });

    test("is taken over by a call that goes on with it", async () => {
      const data = random.bytes(sizeBytes);
      const digest = digestOf(data);
      const resourceName = uploadName(digest);
      const silent = endpoint.client.openWrite();
      silent.send({ resourceName, data: data.subarray(0, halfBytes) });
      await arrived(resourceName, halfBytes);
      const ended = await endpoint.client.writeMessages([
        { resourceName, writeOffset: halfBytes, data: data.subarray(halfBytes), finishWrite: true },
      ]);
      expect(ended).toMatchObject({ code: 0, value: sizeBytes });
      expect((await silent.ended).code).not.toBe(0);
    });

    test("begins anew at offset 0, and goes on nowhere else", async () => {
      const data = random.bytes(sizeBytes);
      const digest = digestOf(data);
      const resourceName = uploadName(digest);
      await endpoint.client.writeMessages([{ resourceName, data: data.subarray(0, halfBytes) }]);
      const writeOffset = halfBytes + 1;
      const message = { resourceName, writeOffset, data: data.subarray(writeOffset) };
      const beyond = await endpoint.client.writeMessages([{ ...message, finishWrite: true }]);
      expect(beyond.code).toBe(invalidArgument);
      await arrived(resourceName, halfBytes);
      const ended = await endpoint.client.write(resourceName, data);
      expect(ended).toMatchObject({ code: 0, value: sizeBytes });
    });

    test("goes on before what is here, when more came than its client was told", async () => {
      const data = random.bytes(sizeBytes);
      const digest = digestOf(data);
      const resourceName = uploadName(digest);
      await endpoint.client.writeMessages([{ resourceName, data: data.subarray(0, halfBytes) }]);
      await arrived(resourceName, halfBytes);
      const writeOffset = halfBytes - 500;
      const ended = await endpoint.client.writeMessages([
        { resourceName, writeOffset, data: data.subarray(writeOffset, writeOffset + 100) },
        {
          writeOffset: writeOffset + 100,
          data: data.subarray(writeOffset + 100),
          finishWrite: true,
        },
      ]);
      expect(ended).toMatchObject({ code: 0, value: sizeBytes });
      const read = await endpoint.client.read(blobName(digest));
      expect(Buffer.compare(read.value, data)).toBe(0);
    });

    test("ends as soon as another one has brought the blob", async () => {
      const data = random.bytes(sizeBytes);
      const digest = digestOf(data);
      const slow = endpoint.client.openWrite();
      const resourceName = uploadName(digest);
      slow.send({ resourceName, data: data.subarray(0, halfBytes) });
      await arrived(resourceName, halfBytes);
      await endpoint.client.write(uploadName(digest), data);
      expect(await slow.ended).toMatchObject({ code: 0, value: sizeBytes });
    });

    test("of zstd goes on at an offset of the blob, with a stream of its own", async () => {
      const data = Buffer.concat([random.bytes(sizeBytes / 2), Buffer.alloc(sizeBytes / 2, 7)]);
      const digest = digestOf(data);
      const resourceName = uploadName(digest, "compressed-blobs/zstd");
      const broken = endpoint.client.openWrite();
      broken.send({ resourceName, data: zlib.zstdCompressSync(data.subarray(0, halfBytes)) });
      await arrived(resourceName, halfBytes);
      broken.cancel();
      await broken.ended;
      const rest = zlib.zstdCompressSync(data.subarray(halfBytes));
      const ended = await endpoint.client.writeMessages([
        { resourceName, writeOffset: halfBytes, data: rest.subarray(0, 10) },
        { writeOffset: halfBytes + 10, data: rest.subarray(10), finishWrite: true },
      ]);
      expect(ended).toMatchObject({ code: 0, value: halfBytes + rest.length });
      const read = await endpoint.client.read(blobName(digest));
      expect(Buffer.compare(read.value, data)).toBe(0);
    });
  });

  test("what came before wrong bytes is not kept", async () => {
    const data = random.bytes(5_000);
    const resourceName = uploadName(digestOf(random.bytes(5_000)));
    const ended = await endpoint.client.write(resourceName, data);
    expect(ended.code).toBe(invalidArgument);
    expect((await endpoint.client.writeStatus(resourceName)).code).toBe(notFound);
  });

  test("9: a message behind finish_write is an error", async () => {
    const data = random.bytes(5_000);
    const resourceName = uploadName(digestOf(data));
    const ended = await endpoint.client.writeMessages([
      { resourceName, data, finishWrite: true },
      { writeOffset: 5_000, data: random.bytes(10) },
    ]);
    expect(ended.code).toBe(invalidArgument);
  });

  test(
    "of many that broke off the oldest are forgotten",
    async () => {
      const names: string[] = [];
      for (let i = 0; i < 140; i++) {
        const data = random.bytes(3_000);
        const resourceName = uploadName(digestOf(data));
        names.push(resourceName);
        await endpoint.client.writeMessages([{ resourceName, data: data.subarray(0, 1_000) }]);
      }
      const codes = await Promise.all(
        names.map(async (name) => (await endpoint.client.writeStatus(name)).code),
      );
      expect(codes.filter((code) => code === 0).length).toBe(128);
      expect(codes.slice(-128).every((code) => code === 0)).toBe(true);
      expect(codes[0]).toBe(notFound);
    },
    60 * second,
  );
});
