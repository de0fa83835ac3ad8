// heavy
import { expect, test } from "bun:test";
import fs from "node:fs";
import { startSha256 } from "../../runtime/base/digest.ts";
import { GiB, KiB, MiB, minute } from "../../runtime/base/units.ts";
import {
  completeModule,
  getModule,
  openUpload,
  partBody,
  sendPart,
} from "../support/module-client.ts";
import { type NodeProcess, startNode } from "../support/node-process.ts";

const totalBytes = 2 * GiB;
const partBytesMax = 10 * MiB;
const growthBytesMax = 64 * MiB;
const sampleMs = 20;
/** A probe that takes longer tells of a loop that stood still; the machine may be shared, so it is not a tight bound. */
const probeMsMax = 1_000;
const module = { hash: "two-gib", name: "Huge.framework" };

function residentBytes(pid: number): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * KiB;
}

/** Samples memory and the time of a probe until it is stopped. */
function watch(node: NodeProcess): { stop(): Promise<{ residentMax: number; probeMs: number }> } {
  let isOver = false;
  const worst = { residentMax: 0, probeMs: 0 };
  const loop = (async () => {
    while (!isOver) {
      const startMs = performance.now();
      await fetch(`${node.url}/up`);
      worst.probeMs = Math.max(worst.probeMs, performance.now() - startMs);
      worst.residentMax = Math.max(worst.residentMax, residentBytes(node.pid));
      await Bun.sleep(sampleMs);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await loop;
      return worst;
    },
  };
}

async function warmUp(node: NodeProcess): Promise<void> {
  const small = { hash: "warm-up" };
  const id = await openUpload(node.url, small);
  for (const number of [1, 2]) {
    await sendPart(node.url, { id, number, body: partBody(number, partBytesMax) });
  }
  await completeModule(node.url, { id, document: { parts: [1, 2] } });
  await (await getModule(node.url, small)).arrayBuffer();
}

test(
  "a module of 2 GiB in parts of 10 MiB costs 64 MiB of memory at most, and comes back whole",
  async () => {
    await using node = await startNode({ env: { KURA_CAS_CAPACITY_BYTES: String(6 * GiB) } });
    await warmUp(node);
    const before = residentBytes(node.pid);
    const watched = watch(node);
    const sent = startSha256();
    const id = await openUpload(node.url, module);
    const parts: number[] = [];
    const startMs = performance.now();
    for (let at = 0; at < totalBytes; at += partBytesMax) {
      const body = partBody(at, Math.min(partBytesMax, totalBytes - at));
      sent.update(body);
      parts.push(parts.length + 1);
      const { status } = await sendPart(node.url, { id, number: parts.length, body });
      expect([parts.length, status]).toEqual([parts.length, 204]);
    }
    const sentMs = performance.now();
    const digest = Buffer.from(sent.digest()).toString("hex");
    const document = { parts, checksum_sha256: digest };
    expect((await completeModule(node.url, { id, document })).status).toBe(204);
    const completedMs = performance.now();

    const answer = await getModule(node.url, module);
    expect(answer.headers.get("content-length")).toBe(String(totalBytes));
    const received = startSha256();
    let receivedBytes = 0;
    const reader = answer.body?.getReader();
    for (let read = await reader?.read(); read?.value !== undefined; read = await reader?.read()) {
      received.update(read.value);
      receivedBytes += read.value.length;
    }
    expect(receivedBytes).toBe(totalBytes);
    expect(Buffer.from(received.digest()).toString("hex")).toBe(digest);

    const { residentMax, probeMs } = await watched.stop();
    const mib = (bytes: number): number => Math.round(bytes / MiB);
    console.log(
      `RSS ${mib(before)} MiB, at most ${mib(residentMax)} MiB; parts ${Math.round(sentMs - startMs)} ms, ` +
        `complete ${Math.round(completedMs - sentMs)} ms; slowest probe ${Math.round(probeMs)} ms`,
    );
    expect(residentMax - before).toBeLessThanOrEqual(growthBytesMax);
    expect(probeMs).toBeLessThan(probeMsMax);
    const oneMore = await sendPart(node.url, {
      id: await openUpload(node.url, { hash: "more" }),
      number: 1,
      body: partBody(1, 10),
    });
    expect(oneMore.status).toBe(204);
  },
  20 * minute,
);
