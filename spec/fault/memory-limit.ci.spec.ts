// heavy
import { expect, test } from "bun:test";
import { crc32 } from "../../runtime/base/digest.ts";
import { GiB, KiB, MiB, minute, second } from "../../runtime/base/units.ts";
import { downloadCrc } from "../support/crc-download.ts";
import { writeByGrpc } from "../support/grpc-load.ts";
import { makeContent } from "../support/load-surface.ts";
import { makeMemoryGroup, type SpecGroup } from "../support/memory-group.ts";
import { inMiB, memoryOf } from "../support/memory-watch.ts";
import { type NodeProcess, startNode, until } from "../support/node-process.ts";
import { moveAll, type SlowClient, slowUpload } from "../support/slow-clients.ts";
import { streamPut } from "../support/stream-client.ts";

const limitBytes = 512 * MiB;
/** By the seed's formulas. */
const softBytes = Math.floor((limitBytes * 0.7) / MiB) * MiB;
const hardBytes = Math.floor((limitBytes * 0.85) / MiB) * MiB;
const reads = { atOnce: 160, sizeBytes: 48 * MiB, artifacts: 16 };
const large = { atOnce: 8, sizeBytes: 192 * MiB };
const uploads = { count: 1_000, sizeBytes: 512 * KiB, overMs: 15 * second, connectsAtOnce: 64 };
/** With what a holder takes beside what it holds: above the hard mark, and below the limit. */
const aboveHardBytes = hardBytes + 8 * MiB;
/** Of 32 KiB: 50 MiB. */
const cachedBodies = 1_600;
const calmMsMax = 30 * second;
const lookMs = 20;

const tried = makeMemoryGroup(limitBytes);
const reason = "reason" in tried ? tried.reason : null;
if (!("reason" in tried)) await tried[Symbol.asyncDispose]();
else console.log(`No memory limit can be set on this machine, so nothing is shown here: ${reason}`);

/** A node in a group of 512 MiB, and the most that counted there. */
class Limited implements AsyncDisposable {
  readonly group: SpecGroup;
  readonly node: NodeProcess;
  readonly #timer: Timer;
  maxBytes = 0;

  private constructor(group: SpecGroup, node: NodeProcess) {
    this.group = group;
    this.node = node;
    this.#timer = setInterval(() => {
      this.maxBytes = Math.max(this.maxBytes, group.usedBytes());
    }, lookMs);
  }

  static async start(settings: Record<string, string> = {}): Promise<Limited> {
    const group = makeMemoryGroup(limitBytes);
    if ("reason" in group) throw new Error(group.reason);
    const env = { KURA_CAS_CAPACITY_BYTES: String(4 * GiB), ...settings };
    return new Limited(group, await startNode({ env, launcher: group.launcher }));
  }

  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.node.url}/metrics`)).text();
    const line = text.split("\n").find((one) => one.startsWith(`${name} `));
    return Number(line?.split(" ")[1]);
  }

  async calm(): Promise<void> {
    const isCalm = async (): Promise<boolean> =>
      (await this.metric("kura_memory_pressure_state")) === 0;
    await until("memory is normal", isCalm, calmMsMax);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.node[Symbol.asyncDispose]();
    await this.group[Symbol.asyncDispose]();
  }
}

function contentOf(name: string, sizeBytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(makeContent(name, sizeBytes));
}

test.skipIf(reason !== null)(
  "160 reads of 48 MiB at one time all succeed in a memory group of 512 MiB",
  async () => {
    await using limited = await Limited.start();
    const { node, group } = limited;
    const crcs: number[] = [];
    for (let i = 0; i < reads.artifacts; i++) {
      const body = contentOf(`read ${i}`, reads.sizeBytes);
      crcs.push(crc32(body));
      const answer = await fetch(`${node.url}/v1/cache/r${i}`, { method: "PUT", body });
      expect(answer.status).toBe(200);
    }
    const filledBytes = limited.maxBytes;
    limited.maxBytes = 0;
    const startMs = performance.now();
    const answers = await Promise.all(
      Array.from({ length: reads.atOnce }, (_, i) =>
        downloadCrc(node.port, `/v1/cache/r${i % reads.artifacts}`),
      ),
    );
    const ms = Math.round(performance.now() - startMs);
    console.log(
      `${reads.atOnce} reads in ${ms} ms; used ${inMiB(filledBytes)} MiB while it was filled, ${inMiB(limited.maxBytes)} while it was read`,
    );
    for (const [i, { status, sizeBytes, crc }] of answers.entries()) {
      expect([status, sizeBytes, crc]).toEqual([200, reads.sizeBytes, crcs[i % crcs.length] ?? 0]);
    }
    expect(limited.maxBytes).toBeLessThan(hardBytes);
    expect(filledBytes).toBeLessThan(hardBytes);
    expect(group.kills()).toBe(0);
    await limited.calm();
  },
  5 * minute,
);

test.skipIf(reason !== null)(
  "64 streams that write at one time over 4 connections of gRPC all succeed in a memory group of 512 MiB",
  async () => {
    await using limited = await Limited.start();
    const { node, group } = limited;
    const load = { sizes: "8MiB", piece: "64KiB", requests: 256, concurrency: 64, connections: 4 };
    expect(await writeByGrpc(node.grpcUrl, load)).toEqual([]);
    console.log(`64 streams used ${inMiB(limited.maxBytes)} MiB at most`);
    expect(limited.maxBytes).toBeLessThan(hardBytes);
    expect(group.kills()).toBe(0);
  },
  5 * minute,
);

test.skipIf(reason !== null)(
  "1,000 slow uploads all end well in a memory group of 512 MiB, and others go on beside them",
  async () => {
    await using limited = await Limited.start();
    const { node, group } = limited;
    const shared = contentOf("slow", uploads.sizeBytes);
    const clients: SlowClient[] = [];
    for (let i = 0; i < uploads.count; i += uploads.connectsAtOnce) {
      const count = Math.min(uploads.connectsAtOnce, uploads.count - i);
      const batch = Array.from({ length: count }, (_, j) =>
        slowUpload({
          port: node.port,
          path: `/v1/cache/s${i + j}`,
          body: shared,
          overMs: uploads.overMs,
        }),
      );
      clients.push(...(await Promise.all(batch)));
    }
    let isOver = false;
    const slow = moveAll(clients).finally(() => {
      isOver = true;
    });
    const others: number[] = [];
    const bodies = [16 * KiB, 512 * KiB, 2 * MiB].map((size) => contentOf(`quick ${size}`, size));
    while (!isOver) {
      for (const [place, body] of bodies.entries()) {
        const url = `${node.url}/v1/cache/q${others.length}x${place}`;
        others.push((await fetch(url, { method: "PUT", body })).status);
      }
    }
    await slow;
    console.log(
      `${uploads.count} slow uploads beside ${others.length} others: used ${inMiB(limited.maxBytes)} MiB at most`,
    );
    for (const client of clients) expect((await client.ended)[0]?.status).toBe(200);
    expect(new Set(others)).toEqual(new Set([200]));
    expect(others.length).toBeGreaterThan(9);
    for (let i = 0; i < uploads.count; i += 97) {
      const { crc } = await downloadCrc(node.port, `/v1/cache/s${i}`);
      expect(crc).toBe(crc32(shared));
    }
    expect(limited.maxBytes).toBeLessThan(hardBytes);
    expect(group.kills()).toBe(0);
    await limited.calm();
  },
  5 * minute,
);

test.skipIf(reason !== null)(
  "what large uploads have in the page cache of the system does not count as a lack of memory",
  async () => {
    await using limited = await Limited.start();
    const { node, group } = limited;
    const results = await Promise.all(
      Array.from({ length: large.atOnce }, (_, i) =>
        streamPut({
          port: node.port,
          path: `/v1/cache/l${i}`,
          sizeBytes: large.sizeBytes,
          isChunked: i % 2 === 0,
        }),
      ),
    );
    expect(new Set(results.map(({ answer }) => answer?.status))).toEqual(new Set([200]));
    console.log(`${large.atOnce} large uploads: used ${inMiB(limited.maxBytes)} MiB at most`);
    expect(limited.maxBytes).toBeLessThan(softBytes);
    expect(await limited.metric("kura_memory_refused_writes_total")).toBe(0);
    expect(group.kills()).toBe(0);
  },
  5 * minute,
);

test.skipIf(reason !== null)(
  "memory that another process of the group takes makes the node give back its caches, refuse writes, answer reads, and go back to normal",
  async () => {
    await using limited = await Limited.start({ KURA_BODY_CACHE_MAX_BYTES: String(64 * MiB) });
    const { node, group } = limited;
    const body = contentOf("kept", 32 * KiB);
    const put = async (key: string): Promise<number> =>
      (await fetch(`${node.url}/cache/${key}`, { method: "PUT", body })).status;
    for (let key = 0; key < cachedBodies; key++) expect(await put(`kept${key}`)).toBe(201);
    for (let round = 0; round < 2; round++) {
      for (let key = 0; key < cachedBodies; key++) {
        await (await fetch(`${node.url}/cache/kept${key}`)).arrayBuffer();
      }
    }
    expect(await limited.metric("kura_body_cache_bytes")).toBeGreaterThan(cachedBodies * 32 * KiB);
    const beforeBytes = memoryOf(node.pid);
    using holders = new DisposableStack();
    await until("memory is critical", async () => {
      // Shedding makes room below the hard mark, so it may take more than one.
      const missingBytes = aboveHardBytes - group.usedBytes();
      if (missingBytes > 0) holders.use(await group.hold(missingBytes));
      return (await limited.metric("kura_memory_pressure_state")) === 2;
    });
    expect(await put("refused")).toBe(429);
    const { status, crc } = await downloadCrc(node.port, "/cache/kept0");
    expect([status, crc]).toEqual([200, crc32(body)]);
    expect(await limited.metric("kura_body_cache_bytes")).toBe(0);
    const freedBytes = (): number => beforeBytes - memoryOf(node.pid);
    await until("what the caches held is free", () => freedBytes() > (cachedBodies / 2) * 32 * KiB);
    console.log(
      `${inMiB(beforeBytes)} MiB resident, ${inMiB(freedBytes())} MiB of them given back`,
    );
    holders.dispose();
    await limited.calm();
    expect(await put("taken")).toBe(201);
    const told = node.stderr();
    for (const part of ["memory is critical", "memory is normal again"]) {
      expect(told).toContain(part);
    }
    expect(group.kills()).toBe(0);
  },
  minute,
);
