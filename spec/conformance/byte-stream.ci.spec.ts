import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { seededRandom } from "../../runtime/base/random.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import { grpcCodes } from "../../runtime/wire/grpc/status.ts";
import { type Digest, digestOf, type WriteMessage } from "../support/reapi-client.ts";
import { decodeProto, encodeProto } from "../support/reapi-protos.ts";
import { type Endpoint, judged, openEndpoint } from "./endpoint.ts";

/** Points of the conformance list about byte streams. */
describe.each(judged)("%s", (engine) => {
  let endpoint: Endpoint;
  beforeAll(async () => {
    endpoint = await openEndpoint(engine);
  });
  afterAll(async () => {
    await endpoint[Symbol.asyncDispose]();
  });

  const random = seededRandom(21);
  const { invalidArgument, notFound, outOfRange } = grpcCodes;

  const blobName = ({ hash, sizeBytes }: Digest, instance = endpoint.instance): string =>
    `${instance}/blobs/${hash}/${sizeBytes}`;
  const uploadName = ({ hash, sizeBytes }: Digest, instance = endpoint.instance): string =>
    `${instance}/uploads/3f1b/blobs/${hash}/${sizeBytes}`;

  async function stored(sizeBytes: number): Promise<{ data: Uint8Array; digest: Digest }> {
    const data = random.bytes(sizeBytes);
    const digest = digestOf(data);
    const written = await endpoint.client.write(uploadName(digest), data);
    expect(written).toMatchObject({ code: 0, value: sizeBytes });
    return { data, digest };
  }

  async function statusOf(resourceName: string) {
    const ended = await endpoint.client.unary(
      "/google.bytestream.ByteStream/QueryWriteStatus",
      encodeProto("google.bytestream.QueryWriteStatusRequest", { resourceName }),
    );
    const value = decodeProto<{ committedSize: number; complete: boolean }>(
      "google.bytestream.QueryWriteStatusResponse",
      ended.value ?? new Uint8Array(0),
    );
    return { code: ended.code, ...value };
  }

  test("messages without data may stand anywhere, and many uploads at once stay apart", async () => {
    const blobs = Array.from({ length: 64 }, () => {
      const data = random.bytes(300 * KiB);
      return { data, digest: digestOf(data) };
    });
    const none = new Uint8Array(0);
    const ended = await Promise.all(
      blobs.map(({ data, digest }) => {
        return endpoint.client.writeMessages([
          { resourceName: uploadName(digest), data: none },
          { data },
          { writeOffset: data.length, data: none },
          { writeOffset: data.length, data: none, finishWrite: true },
        ]);
      }),
    );
    expect(ended.every(({ code, value }) => code === 0 && value === 300 * KiB)).toBe(true);
    for (const { data, digest } of blobs) {
      const read = await endpoint.client.read(blobName(digest));
      expect(Buffer.compare(read.value, data)).toBe(0);
    }
  });

  test("1: no bytes under the hash of some is INVALID_ARGUMENT", async () => {
    const { hash } = digestOf(Buffer.from("some"));
    const read = await endpoint.client.read(blobName({ hash, sizeBytes: 0 }));
    expect(read.code).toBe(invalidArgument);
  });

  test("1: the empty blob is read and written without having been stored", async () => {
    const empty = digestOf(new Uint8Array(0));
    const read = await endpoint.client.read(blobName(empty));
    expect([read.code, read.value.length]).toEqual([0, 0]);
    expect(await endpoint.client.write(uploadName(empty), new Uint8Array(0))).toMatchObject({
      code: 0,
      value: 0,
    });
  });

  test("2: a right hash with a wrong size is NOT_FOUND", async () => {
    const { digest } = await stored(1_000);
    expect((await endpoint.client.read(blobName({ ...digest, sizeBytes: 999 }))).code).toBe(
      notFound,
    );
  });

  describe.each([1_000, 100 * KiB, 3 * MiB])("a blob of %d bytes", (sizeBytes) => {
    test("comes back whole, and from any offset", async () => {
      const { data, digest } = await stored(sizeBytes);
      for (const readOffset of [0, 1, sizeBytes - 1, sizeBytes]) {
        const read = await endpoint.client.read(blobName(digest), { readOffset });
        expect([read.code, Buffer.compare(read.value, data.subarray(readOffset))]).toEqual([0, 0]);
      }
    });

    test("3: is read up to the limit, and an offset outside of it is OUT_OF_RANGE", async () => {
      const { data, digest } = await stored(sizeBytes);
      const name = blobName(digest);
      for (const readLimit of [1, 500, sizeBytes, sizeBytes + 5]) {
        const read = await endpoint.client.read(name, { readOffset: 1, readLimit });
        const expected = data.subarray(1, 1 + readLimit);
        expect([read.code, Buffer.compare(read.value, expected)]).toEqual([0, 0]);
      }
      for (const readOffset of [-1, sizeBytes + 1]) {
        expect((await endpoint.client.read(name, { readOffset })).code).toBe(outOfRange);
      }
      expect((await endpoint.client.read(name, { readLimit: -1 })).code).toBe(invalidArgument);
    });

    test("6: that is here already ends a write early, with its whole size", async () => {
      const { digest } = await stored(sizeBytes);
      const half = random.bytes(10);
      const first: WriteMessage = { resourceName: uploadName(digest), data: half };
      expect(await endpoint.client.writeMessages([first])).toMatchObject({
        code: 0,
        value: sizeBytes,
      });
    });

    test("8, 9: that is wrong, too short, too long or unfinished is refused and not stored", async () => {
      const data = random.bytes(sizeBytes);
      const digest = digestOf(data);
      const other = digestOf(random.bytes(sizeBytes));
      const resourceName = uploadName(digest);
      const long = Buffer.concat([data, Buffer.from("x")]);
      for (const messages of [
        [{ resourceName: uploadName(other), data, finishWrite: true }],
        [{ resourceName, data: data.subarray(1), finishWrite: true }],
        [{ resourceName, data: long, finishWrite: true }],
        [{ resourceName, data }],
        [
          { resourceName, data: data.subarray(0, 5) },
          { writeOffset: 6, finishWrite: true },
        ],
        [
          { resourceName, data: data.subarray(0, 5) },
          { resourceName: uploadName(other), writeOffset: 5, data: data.subarray(5) },
        ],
        [{ data, finishWrite: true }],
        [],
      ] satisfies WriteMessage[][]) {
        expect((await endpoint.client.writeMessages(messages)).code).toBe(invalidArgument);
      }
      expect((await endpoint.client.read(blobName(digest))).code).toBe(notFound);
      expect((await endpoint.client.write(resourceName, data)).code).toBe(0);
    });

    test("10: may be named in the first message only, or in every one", async () => {
      for (const repeats of [true, false]) {
        const data = random.bytes(sizeBytes);
        const resourceName = uploadName(digestOf(data));
        const cut = Math.floor(sizeBytes / 2);
        const messages: WriteMessage[] = [
          { resourceName, data: data.subarray(0, cut) },
          {
            ...(repeats ? { resourceName } : {}),
            writeOffset: cut,
            data: data.subarray(cut),
            finishWrite: true,
          },
        ];
        expect(await endpoint.client.writeMessages(messages)).toMatchObject({
          code: 0,
          value: sizeBytes,
        });
      }
    });

    test("24: is complete for QueryWriteStatus once it is here, and unknown before", async () => {
      const absent = digestOf(random.bytes(sizeBytes));
      expect((await statusOf(uploadName(absent))).code).toBe(notFound);
      const { digest } = await stored(sizeBytes);
      expect(await statusOf(uploadName(digest))).toEqual({
        code: 0,
        committedSize: sizeBytes,
        complete: true,
      });
    });
  });

  describe("11: resource names", () => {
    test.each([
      ["", "blobs/", "uploads/u/blobs/"],
      ["a", "a/blobs/", "a/uploads/u/blobs/"],
      ["a/b/c", "a/b/c/blobs/", "a/b/c/uploads/u/blobs/"],
    ])(
      "of the instance %p are cut by their keywords, and may have more at their end",
      async (_, read, write) => {
        const data = random.bytes(100);
        const { hash, sizeBytes } = digestOf(data);
        const { client } = endpoint;
        expect((await client.write(`${write}${hash}/${sizeBytes}/out/blobs/x.o`, data)).code).toBe(
          0,
        );
        expect((await client.read(`${read}${hash}/${sizeBytes}`)).value.length).toBe(100);
        expect((await client.read(`/${read}${hash}/${sizeBytes}/more`)).value.length).toBe(100);
        expect((await client.read(blobName({ hash, sizeBytes }, "another"))).code).toBe(notFound);
      },
    );

    test("of other shapes are refused", async () => {
      const hash = "a".repeat(64);
      for (const name of [
        "",
        "blobs",
        `blobs/${hash}`,
        `blobs/${hash}/x`,
        `blobs/${hash}/-1`,
        `blobs/${hash}/1e3`,
        `blobs/abc/3`,
        `compressed-blobs/lzma/${hash}/1`,
        `blobs/blake3/${hash}/1`,
      ]) {
        expect((await endpoint.client.read(name)).code).toBe(invalidArgument);
      }
      for (const name of [`blobs/${hash}/1`, `uploads/blobs/${hash}/1`, `uploads/u/${hash}/1`]) {
        expect((await endpoint.client.write(name, Buffer.from("x"))).code).toBe(invalidArgument);
      }
    });
  });

  test("25: a blob above the advertised limit is refused at its first message", async () => {
    const ended = await endpoint.client.call<{
      cacheCapabilities: { maxCasBlobSizeBytes: number };
    }>("Capabilities/GetCapabilities", { instanceName: endpoint.instance });
    const { maxCasBlobSizeBytes } = ended.value.cacheCapabilities;
    expect(maxCasBlobSizeBytes).toBeGreaterThan(0);
    const digest = { hash: "b".repeat(64), sizeBytes: maxCasBlobSizeBytes + 1 };
    const first: WriteMessage = { resourceName: uploadName(digest), data: random.bytes(10) };
    expect((await endpoint.client.writeMessages([first])).code).toBe(invalidArgument);
  });
});
