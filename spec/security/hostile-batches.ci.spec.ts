import { expect, test } from "bun:test";
import zlib from "node:zlib";
import { KiB, MiB, minute } from "../../runtime/base/units.ts";
import { grpcCodes } from "../../runtime/wire/grpc/status.ts";
import { type NodeProcess, startNode } from "../support/node-process.ts";
import { digestOf, ReapiClient } from "../support/reapi-client.ts";
import { encodeProto } from "../support/reapi-protos.ts";

const cas = "/build.bazel.remote.execution.v2.ContentAddressableStorage";
const zstd = 1;

async function residentBytes(node: NodeProcess): Promise<number> {
  const status = await Bun.file(`/proc/${node.pid}/status`).text();
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? "0") * KiB;
}

/** The most that a node has held since its start. */
async function peakBytes(node: NodeProcess): Promise<number> {
  const status = await Bun.file(`/proc/${node.pid}/status`).text();
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? "0") * KiB;
}

test(
  "millions of empty entries in one message are refused before they cost memory",
  async () => {
    await using node = await startNode();
    using client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
    // Fields 2 (FindMissing, BatchUpdate, BatchRead), of no bytes.
    const entries = Buffer.alloc(15 * MiB, Buffer.from([0x12, 0x00]));
    for (const method of ["FindMissingBlobs", "BatchUpdateBlobs", "BatchReadBlobs"]) {
      const { code } = await client.unary(`${cas}/${method}`, entries);
      expect([method, code]).toEqual([method, grpcCodes.invalidArgument]);
    }
    expect(await peakBytes(node)).toBeLessThan(512 * MiB);
  },
  minute,
);

test(
  "a batch that decodes to more than four batches is refused, and others at once hold what they say",
  async () => {
    await using node = await startNode();
    using client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
    const plain = Buffer.alloc(3 * MiB);
    const item = { digest: digestOf(plain), data: zlib.zstdCompressSync(plain), compressor: zstd };
    const batch = (count: number): Uint8Array =>
      encodeProto("build.bazel.remote.execution.v2.BatchUpdateBlobsRequest", {
        requests: Array.from({ length: count }, () => item),
      });
    const large = await client.unary(`${cas}/BatchUpdateBlobs`, batch(2_000));
    expect(large.code).toBe(grpcCodes.invalidArgument);
    const beforeBytes = await residentBytes(node);
    const ended = await Promise.all(
      Array.from({ length: 100 }, () => client.unary(`${cas}/BatchUpdateBlobs`, batch(5))),
    );
    const codes = new Set(ended.map(({ code }) => code));
    for (const code of codes) expect([0, grpcCodes.resourceExhausted]).toContain(code);
    expect((await peakBytes(node)) - beforeBytes).toBeLessThan(1_024 * MiB);
  },
  minute,
);

test(
  "zstd bombs by byte stream cost no memory",
  async () => {
    await using node = await startNode();
    using client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
    const bomb = zlib.zstdCompressSync(Buffer.alloc(512 * MiB));
    const { hash } = digestOf(Buffer.alloc(1_000));
    const beforeBytes = await residentBytes(node);
    const ended = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        client.write(`uploads/${i}/compressed-blobs/zstd/${hash}/1000`, bomb),
      ),
    );
    expect(ended.every(({ code }) => code === grpcCodes.invalidArgument)).toBe(true);
    expect((await peakBytes(node)) - beforeBytes).toBeLessThan(96 * MiB);
  },
  minute,
);

test("a batch whose answer would not fit into 4 MiB brings what fits, and says so of the rest", async () => {
  await using node = await startNode();
  using client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);
  const blobs = Array.from({ length: 1_000 }, (_, i) => Buffer.alloc(4_128, `${i} `));
  for (let at = 0; at < blobs.length; at += 500) {
    const requests = blobs.slice(at, at + 500).map((data) => ({ digest: digestOf(data), data }));
    await client.call("ContentAddressableStorage/BatchUpdateBlobs", { requests });
  }
  const request = encodeProto("build.bazel.remote.execution.v2.BatchReadBlobsRequest", {
    digests: blobs.map(digestOf),
  });
  const { code, value } = await client.unary(`${cas}/BatchReadBlobs`, request);
  expect(code).toBe(0);
  expect(value?.length ?? 0).toBeLessThanOrEqual(4 * MiB);
  type Read = { responses: { status: { code: number } | null; data: Uint8Array }[] };
  const read = await client.call<Read>("ContentAddressableStorage/BatchReadBlobs", {
    digests: blobs.map(digestOf),
  });
  const brought = read.value.responses.filter(({ data }) => data.length === 4_128).length;
  const left = read.value.responses.filter(
    ({ status }) => status?.code === grpcCodes.resourceExhausted,
  ).length;
  expect(brought).toBeGreaterThan(900);
  expect(brought + left).toBe(1_000);
});
