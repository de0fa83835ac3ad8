import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { grpcCodes } from "../../../../../runtime/wire/grpc/status.ts";
import {
  decodeGetActionResult,
  decodeUpdateActionResult,
} from "../../../../../runtime/wire/proto/action-cache-messages.ts";
import {
  decodeQueryWriteStatus,
  decodeRead,
  decodeWrite,
  encodeReadResponse,
  encodeWriteResponse,
  encodeWriteStatus,
} from "../../../../../runtime/wire/proto/byte-stream-messages.ts";
import {
  decodeBatchRead,
  decodeBatchUpdate,
  decodeFindMissing,
  decodeGetTree,
  encodeBatchUpdated,
  encodeMissing,
  encodeTreePage,
  writeBlob,
} from "../../../../../runtime/wire/proto/cas-messages.ts";
import { WireWriter } from "../../../../../runtime/wire/proto/wire-writer.ts";
import { decodeProto, encodeProto } from "../../../../support/reapi-protos.ts";
import { arbitraryDigest, damaged } from "./arbitrary.ts";

const bytes = fc.uint8Array({ maxLength: 400 });
const text = fc.string({ maxLength: 40 });
const count = fc.oneof(fc.nat(300), fc.constantFrom(0, 2 ** 31, 2 ** 40, 2 ** 53 - 1));
const digestFunction = fc.nat(10);
const digests = fc.array(arbitraryDigest, { maxLength: 5 });
const maybeDigest = fc.option(arbitraryDigest, { nil: null });
const runs = { numRuns: 300 } as const;

/** What both readers must agree on, as plain values. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, each) =>
      each instanceof Uint8Array ? Buffer.from(each).toString("hex") : each,
    ).replaceAll(/\{"type":"Buffer","data":\[([\d,]*)\]\}/g, (_, list: string) =>
      JSON.stringify(Buffer.from(list.split(",").map(Number)).toString("hex")),
    ),
  );

describe("requests that protobufjs wrote are read as they were meant", () => {
  test("FindMissingBlobsRequest", () => {
    const message = fc.record({ instanceName: text, blobDigests: digests, digestFunction });
    fc.assert(
      fc.property(message, (fields) => {
        const { blobDigests, ...rest } = fields;
        expect(decodeFindMissing(encodeProto("FindMissingBlobsRequest", fields))).toEqual({
          ...rest,
          digests: blobDigests,
        });
      }),
      runs,
    );
  });

  test("BatchUpdateBlobsRequest", () => {
    const item = fc.record({ digest: maybeDigest, data: bytes, compressor: fc.nat(3) });
    const message = fc.record({
      instanceName: text,
      requests: fc.array(item, { maxLength: 4 }),
      digestFunction,
    });
    fc.assert(
      fc.property(message, (fields) => {
        const { requests, ...rest } = fields;
        const read = decodeBatchUpdate(encodeProto("BatchUpdateBlobsRequest", fields));
        expect(plain(read)).toEqual(plain({ ...rest, items: requests }));
      }),
      runs,
    );
  });

  test("BatchReadBlobsRequest", () => {
    const message = fc.record({
      instanceName: text,
      digests,
      acceptableCompressors: fc.array(fc.nat(3), { maxLength: 4 }),
      digestFunction,
    });
    fc.assert(
      fc.property(message, (fields) => {
        expect(decodeBatchRead(encodeProto("BatchReadBlobsRequest", fields))).toEqual(fields);
      }),
      runs,
    );
  });

  test("GetTreeRequest", () => {
    const message = fc.record({
      instanceName: text,
      rootDigest: maybeDigest,
      pageSize: fc.nat(2 ** 31 - 1),
      pageToken: text,
      digestFunction,
    });
    fc.assert(
      fc.property(message, (fields) => {
        expect(decodeGetTree(encodeProto("GetTreeRequest", fields))).toEqual(fields);
      }),
      runs,
    );
  });

  test("GetActionResultRequest and UpdateActionResultRequest", () => {
    const get = fc.record({
      instanceName: text,
      actionDigest: maybeDigest,
      inlineStdout: fc.boolean(),
      inlineStderr: fc.boolean(),
      inlineOutputFiles: fc.array(text, { maxLength: 4 }),
      digestFunction,
    });
    fc.assert(
      fc.property(get, (fields) => {
        expect(decodeGetActionResult(encodeProto("GetActionResultRequest", fields))).toEqual(
          fields,
        );
      }),
      runs,
    );
    const update = fc.record({
      instanceName: text,
      actionDigest: maybeDigest,
      actionResult: fc.option(fc.record({ exitCode: fc.nat(3), stdoutRaw: bytes }), { nil: null }),
      digestFunction,
    });
    fc.assert(
      fc.property(update, (fields) => {
        const read = decodeUpdateActionResult(encodeProto("UpdateActionResultRequest", fields));
        const { actionResult, ...rest } = fields;
        const encoded = actionResult === null ? null : encodeProto("ActionResult", actionResult);
        expect(plain(read)).toEqual(plain({ ...rest, actionResult: encoded }));
      }),
      runs,
    );
  });

  test("ReadRequest, WriteRequest and QueryWriteStatusRequest", () => {
    const offset = fc.oneof(count, fc.constantFrom(-1, -(2 ** 31), -(2 ** 53) + 1));
    const clamp = (value: number): number => Math.max(-1, value);
    const read = fc.record({ resourceName: text, readOffset: offset, readLimit: offset });
    fc.assert(
      fc.property(read, (fields) => {
        const { resourceName, readOffset, readLimit } = fields;
        expect(decodeRead(encodeProto("google.bytestream.ReadRequest", fields))).toEqual({
          resourceName,
          readOffset: clamp(readOffset),
          readLimit: clamp(readLimit),
        });
      }),
      runs,
    );
    const write = fc.record({
      resourceName: text,
      writeOffset: offset,
      finishWrite: fc.boolean(),
      data: bytes,
    });
    fc.assert(
      fc.property(write, (fields) => {
        const decoded = decodeWrite(encodeProto("google.bytestream.WriteRequest", fields));
        const { writeOffset, ...rest } = fields;
        expect(plain(decoded)).toEqual(plain({ ...rest, writeOffset: clamp(writeOffset) }));
        const query = encodeProto("google.bytestream.QueryWriteStatusRequest", fields);
        expect(decodeQueryWriteStatus(query)).toBe(fields.resourceName);
      }),
      runs,
    );
  });
});

describe("answers are read by protobufjs as they were meant", () => {
  test("FindMissingBlobsResponse", () => {
    fc.assert(
      fc.property(digests, (missing) => {
        const read = decodeProto("FindMissingBlobsResponse", encodeMissing(missing));
        expect(read).toEqual({ missingBlobDigests: missing });
      }),
      runs,
    );
  });

  test("batches, with statuses and blobs of any length", () => {
    const status = fc.record({
      code: fc.constantFrom(...Object.values(grpcCodes)),
      message: text,
      retryAfterMs: fc.option(fc.nat(20_000), { nil: null }),
    });
    const long = fc.nat(40_000).map((length) => new Uint8Array(length).fill(7));
    const item = fc.record({ digest: arbitraryDigest, status, data: fc.oneof(bytes, long) });
    fc.assert(
      fc.property(fc.array(item, { maxLength: 4 }), (items) => {
        const updated = decodeProto<{ responses: { digest: unknown; status: StatusFields }[] }>(
          "BatchUpdateBlobsResponse",
          encodeBatchUpdated(items),
        );
        const writer = new WireWriter();
        for (const each of items) writeBlob(writer, { ...each, compressor: 1 });
        const read = decodeProto<{
          responses: { data: Uint8Array; status: StatusFields; compressor: number }[];
        }>("BatchReadBlobsResponse", writer.finish());
        expect(updated.responses.map(({ digest }) => digest)).toEqual(items.map((i) => i.digest));
        for (const [place, { status, data }] of items.entries()) {
          for (const { status: seen } of [updated.responses[place]!, read.responses[place]!]) {
            expect([seen.code, seen.message]).toEqual([status.code, status.message]);
            expect(retryMsOf(seen)).toBe(status.retryAfterMs);
          }
          expect(Buffer.compare(read.responses[place]!.data, data)).toBe(0);
          expect(read.responses[place]!.compressor).toBe(1);
        }
      }),
      runs,
    );
  });

  test("GetTreeResponse with directories as they are stored", () => {
    const directory = encodeProto("Directory", { files: [{ name: "a" }] });
    const page = encodeTreePage([directory, new Uint8Array(0)], "17");
    const read = decodeProto<{ directories: { files: unknown[] }[]; nextPageToken: string }>(
      "GetTreeResponse",
      page,
    );
    expect(read.directories.map(({ files }) => files.length)).toEqual([1, 0]);
    expect(read.nextPageToken).toBe("17");
  });

  test("ReadResponse, WriteResponse and QueryWriteStatusResponse", () => {
    const data = new Uint8Array(300).fill(9);
    const read = decodeProto<{ data: Uint8Array }>(
      "google.bytestream.ReadResponse",
      encodeReadResponse(data),
    );
    expect(Buffer.compare(read.data, data)).toBe(0);
    for (const size of [0, 1, 2 ** 40, -1, -(2 ** 31)]) {
      const written = encodeWriteResponse(size);
      expect(decodeProto("google.bytestream.WriteResponse", written)).toEqual({
        committedSize: size,
      });
    }
    expect(
      decodeProto("google.bytestream.QueryWriteStatusResponse", encodeWriteStatus(5, true)),
    ).toEqual({ committedSize: 5, complete: true });
  });
});

type StatusFields = {
  readonly code: number;
  readonly message: string;
  readonly details: readonly { readonly type_url: string; readonly value: Uint8Array }[];
};

function retryMsOf({ details }: StatusFields): number | null {
  const [detail] = details;
  if (detail === undefined) return null;
  expect(detail.type_url).toBe("type.googleapis.com/google.rpc.RetryInfo");
  const { retryDelay } = decodeProto<{ retryDelay: { seconds: number; nanos: number } }>(
    "google.rpc.RetryInfo",
    detail.value,
  );
  return retryDelay.seconds * 1_000 + retryDelay.nanos / 1_000_000;
}

test("damaged requests are read or refused, and never throw", () => {
  const whole = [
    encodeProto("FindMissingBlobsRequest", {
      instanceName: "ios",
      blobDigests: [{ hash: "a".repeat(64), sizeBytes: 3 }],
    }),
    encodeProto("BatchUpdateBlobsRequest", { requests: [{ data: new Uint8Array(50) }] }),
    encodeProto("BatchReadBlobsRequest", { acceptableCompressors: [0, 1] }),
    encodeProto("GetActionResultRequest", { inlineOutputFiles: ["a", "b"], inlineStdout: true }),
    encodeProto("google.bytestream.WriteRequest", { resourceName: "a/b", data: [1, 2, 3] }),
  ];
  const decoders = [
    decodeFindMissing,
    decodeBatchUpdate,
    decodeBatchRead,
    decodeGetTree,
    decodeGetActionResult,
    decodeUpdateActionResult,
    decodeRead,
    decodeWrite,
    decodeQueryWriteStatus,
  ];
  fc.assert(
    fc.property(fc.constantFrom(...whole), damaged, (message, damage) => {
      const broken = damage(message);
      for (const decode of decoders) decode(broken);
    }),
    { numRuns: 2_000 },
  );
});
