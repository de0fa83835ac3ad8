// heavy
import { expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { crc32 } from "../../runtime/base/digest.ts";
import { GiB, MiB, minute } from "../../runtime/base/units.ts";
import { lingerMsMax } from "../../runtime/wire/http1/limits.ts";
import { inMiB, watchMemory } from "../support/memory-watch.ts";
import { type NodeProcess, startNode, until } from "../support/node-process.ts";
import { type StreamResult, streamPut } from "../support/stream-client.ts";

const refusedBytes = 5 * GiB;
const limitBytes = 2 * GiB;
const growthBytesMax = 64 * MiB;
const env = { KURA_CAS_CAPACITY_BYTES: String(8 * GiB) };

/** What a node needs once is not what a long upload costs. */
async function startWarm(): Promise<NodeProcess> {
  const node = await startNode({ env });
  const put = { port: node.port, path: "/v1/cache/warm-up", sizeBytes: 8 * MiB };
  for (const isChunked of [false, true]) await streamPut({ ...put, isChunked });
  await (await fetch(`${node.url}${put.path}`)).arrayBuffer();
  return node;
}

function largeFiles(node: NodeProcess): string[] {
  return fs.readdirSync(path.join(node.dataDir, "large")).sort();
}

type Watched = { result: StreamResult; tookMs: number; growthBytes: number };

async function put(
  node: NodeProcess,
  name: string,
  body: { sizeBytes: number; isChunked: boolean },
): Promise<Watched> {
  await using memory = watchMemory(node.pid);
  const startMs = performance.now();
  const result = await streamPut({ port: node.port, path: `/v1/cache/${name}`, ...body });
  const tookMs = performance.now() - startMs;
  const growthBytes = memory.maxBytes() - memory.beforeBytes;
  console.log(
    `${body.sizeBytes / GiB} GiB ${body.isChunked ? "chunked" : "declared"}: ${result.answer?.status}, ` +
      `${Math.round(tookMs)} ms, RSS ${inMiB(memory.beforeBytes)} MiB +${inMiB(growthBytes)}`,
  );
  return { result, tookMs, growthBytes };
}

test.each([
  ["declared, ends its connection", false, "close"],
  ["chunked, leaves its connection open", true, null],
] as const)(
  "a refused Nx upload of 5 GiB, %s, names the limit to who writes all first and leaves nothing",
  async (_, isChunked, connection) => {
    await using node = await startWarm();
    const filesBefore = largeFiles(node);
    const { result, tookMs, growthBytes } = await put(node, "huge", {
      sizeBytes: refusedBytes,
      isChunked,
    });
    const { answer } = result;
    // Where the connection ends nobody reads on for longer than this.
    if (connection === null || tookMs < lingerMsMax) {
      expect(answer?.status).toBe(403);
      expect(answer?.headers).toContain("\r\ncontent-type: text/plain");
      expect(answer?.text).toContain(`exceed the limit of ${limitBytes}`);
      expect(/\r\nconnection: (.*)/.exec(answer?.headers ?? "")?.[1] ?? null).toBe(connection);
      expect(result.sentBytes).toBe(refusedBytes);
    }
    expect(growthBytes).toBeLessThanOrEqual(growthBytesMax);
    await until("nothing is left of it", () => Bun.deepEquals(largeFiles(node), filesBefore));
    expect((await fetch(`${node.url}/v1/cache/huge`)).status).toBe(404);
    expect((await fetch(`${node.url}/v1/cache/warm-up`)).status).toBe(200);
  },
  20 * minute,
);

test.each([
  ["declared", false],
  ["chunked", true],
])(
  "the largest Nx upload that is taken, %s, comes back whole and costs 64 MiB of memory at most",
  async (_, isChunked) => {
    await using node = await startWarm();
    const { result, growthBytes } = await put(node, "largest", {
      sizeBytes: limitBytes,
      isChunked,
    });
    expect(result.answer?.status).toBe(200);
    expect(growthBytes).toBeLessThanOrEqual(growthBytesMax);
    await using memory = watchMemory(node.pid);
    const answer = await fetch(`${node.url}/v1/cache/largest`);
    let [crc, sizeBytes] = [0, 0];
    const reader = answer.body?.getReader();
    for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) {
      crc = crc32(read.value, crc);
      sizeBytes += read.value.length;
    }
    expect([sizeBytes, crc]).toEqual([limitBytes, result.crc]);
    expect(memory.maxBytes() - memory.beforeBytes).toBeLessThanOrEqual(growthBytesMax);
  },
  20 * minute,
);
