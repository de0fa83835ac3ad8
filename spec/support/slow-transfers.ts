import { crc32 } from "../../runtime/base/digest.ts";
import { GiB, MiB, minute, second } from "../../runtime/base/units.ts";
import { makeContent } from "./load-surface.ts";
import { inMiB, type MemoryWatch, memoryOf, watchMemory } from "./memory-watch.ts";
import { type NodeProcess, startNode, until } from "./node-process.ts";
import {
  moveAll,
  type SlowAnswer,
  type SlowClient,
  slowDownload,
  slowUpload,
  tickMs,
} from "./slow-clients.ts";

export type SlowTransfers = {
  readonly downloads: number;
  readonly uploads: number;
  /** Milliseconds that one upload takes. */
  readonly uploadMs: number;
};

/** Bytes above what the node had before; `after` when all clients have gone. */
export type MemoryGrowth = {
  readonly beforeBytes: number;
  readonly downloads: number;
  readonly uploads: number;
  readonly both: number;
  readonly after: number;
};

const downloadBytes = MiB;
/** Every second one is small enough to be held in memory while it comes, and as large as that may be. */
const uploadBytes = [4 * MiB, MiB];
/** The kernel takes up to 4 MiB for a client that does not read (measured): with less the node has nothing to wait for. */
const answersPerDownload = 6;
const contentStepBytes = 64;
const connectsAtOnce = 64;
const fillsAtOnce = 16;
/** A node that has let its clients go has this long to give their memory back, all but this much. */
const settleMsMax = 30 * second;
const keptBytesMax = 16 * MiB;
const startMsMax = 2 * minute;

/** Different bytes for each number, all from one buffer: a thousand of them are not in memory here either. */
class Contents {
  readonly #sizeBytes: number;
  readonly #shared: Uint8Array;

  constructor(name: string, sizeBytes: number, count: number) {
    this.#sizeBytes = sizeBytes;
    this.#shared = makeContent(name, sizeBytes + count * contentStepBytes);
  }

  of(index: number): Uint8Array {
    const start = index * contentStepBytes;
    return this.#shared.subarray(start, start + this.#sizeBytes);
  }
}

/**
 * Slow downloads of distinct artifacts, slow uploads, and both at one time, on a node that was started for them.
 * @throws when one of them does not end as it should, or was not open together with the others.
 */
export async function runSlowTransfers(options: SlowTransfers): Promise<MemoryGrowth> {
  await using first = await startNode({ env: { KURA_CAS_CAPACITY_BYTES: String(16 * GiB) } });
  const contents = new Contents("download", downloadBytes, options.downloads);
  await fillWith(first, contents, options.downloads);
  await first.stop();
  const node = await first.restart();
  const run = new Run(node, contents, options);
  await run.warmUp();

  await using memory = watchMemory(node.pid);
  const downloads = await run.grown(memory, () => run.download());
  const uploads = await run.grown(memory, () => run.upload("alone"));
  const both = await run.grown(memory, () => run.both());
  const after = await settled(node, memory.beforeBytes);
  await run.expectUploads("alone");
  await run.expectUploads("both");
  return { beforeBytes: memory.beforeBytes, downloads, uploads, both, after };
}

export function describeGrowth(options: SlowTransfers, growth: MemoryGrowth): string {
  const { downloads, uploads } = options;
  return (
    `RSS ${inMiB(growth.beforeBytes)} MiB; ${downloads} downloads +${inMiB(growth.downloads)}, ` +
    `${uploads} uploads +${inMiB(growth.uploads)}, both +${inMiB(growth.both)}, ` +
    `after them +${inMiB(growth.after)} MiB`
  );
}

class Run {
  readonly #node: NodeProcess;
  readonly #contents: Contents;
  readonly #options: SlowTransfers;
  readonly #uploadContents: Contents;

  constructor(node: NodeProcess, contents: Contents, options: SlowTransfers) {
    this.#node = node;
    this.#contents = contents;
    this.#options = options;
    this.#uploadContents = new Contents("upload", Math.max(...uploadBytes), options.uploads);
  }

  /** One of each: what a node needs once is not what a client costs. */
  async warmUp(): Promise<void> {
    const { port } = this.#node;
    const body = this.#uploadContents.of(0);
    const upload = await slowUpload({ port, path: "/v1/cache/warm", body, overMs: second });
    await moveAll([upload, await slowDownload(port, [downloadPath(0)])]);
  }

  /** Bytes above the start of the watch, at most, while `work` goes on. */
  async grown(memory: MemoryWatch, work: () => Promise<void>): Promise<number> {
    memory.again();
    await work();
    return memory.maxBytes() - memory.beforeBytes;
  }

  #uploadBody(index: number): Uint8Array {
    const sizeBytes = uploadBytes[index % uploadBytes.length];
    return this.#uploadContents.of(index).subarray(0, sizeBytes);
  }

  async download(): Promise<void> {
    const clients = await this.#openDownloads();
    await this.#expectAllOpen(clients);
    await this.#endDownloads(clients);
  }

  async upload(name: string): Promise<void> {
    const clients = await this.#openUploads(name);
    await this.#expectAllOpen(clients);
    await this.#endUploads(clients);
  }

  async both(): Promise<void> {
    const uploads = await this.#openUploads("both");
    const uploaded = this.#endUploads(uploads);
    const downloads = await this.#openDownloads();
    await this.#expectAllOpen([...uploads, ...downloads]);
    await Promise.all([uploaded, this.#endDownloads(downloads)]);
  }

  async #openDownloads(): Promise<SlowClient[]> {
    const { downloads } = this.#options;
    const clients = await inBatches(downloads, connectsAtOnce, (index) => {
      const paths = Array.from({ length: answersPerDownload }, (_, i) =>
        downloadPath((index + i) % downloads),
      );
      return slowDownload(this.#node.port, paths);
    });
    const areStarted = (): boolean => clients.every((client) => client.isStarted());
    await until("all downloads have begun", areStarted, startMsMax);
    return clients;
  }

  async #endDownloads(clients: readonly SlowClient[]): Promise<void> {
    await moveAll(clients);
    for (const [index, client] of clients.entries()) {
      for (const [i, answer] of (await client.ended).entries()) {
        const wanted = (index + i) % this.#options.downloads;
        expectBody(answer, this.#contents.of(wanted), downloadPath(wanted));
      }
    }
  }

  async #openUploads(name: string): Promise<SlowClient[]> {
    const { uploads, uploadMs } = this.#options;
    return await inBatches(uploads, connectsAtOnce, (index) =>
      slowUpload({
        port: this.#node.port,
        path: `/v1/cache/${name}${index}`,
        body: this.#uploadBody(index),
        overMs: uploadMs,
      }),
    );
  }

  async #endUploads(clients: readonly SlowClient[]): Promise<void> {
    await moveAll(clients);
    for (const client of clients) {
      const [answer] = await client.ended;
      if (answer?.status === 200) continue;
      throw new Error(`An upload was answered ${answer?.status}: ${answer?.text}`);
    }
  }

  /** On both sides: what the kernel has taken whole is over for the node, and what waits there has not begun. */
  async #expectAllOpen(clients: readonly SlowClient[]): Promise<void> {
    await until(`${clients.length} requests in flight`, async () => {
      const metrics = await (await fetch(`${this.#node.url}/metrics`)).text();
      const inFlight = Number(/^kura_http_inflight_requests (\d+)$/m.exec(metrics)?.[1]);
      return inFlight === clients.length;
    });
    const open = clients.filter((client) => client.isStarted() && !client.isEnded());
    if (open.length === clients.length) return;
    throw new Error(`Only ${open.length} of ${clients.length} transfers were open at one time`);
  }

  /** Reads the uploads of a name back. */
  async expectUploads(name: string): Promise<void> {
    await inBatches(this.#options.uploads, fillsAtOnce, async (index) => {
      const path = `/v1/cache/${name}${index}`;
      const answer = await fetch(this.#node.url + path);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      const read = { status: answer.status, sizeBytes: bytes.length, crc: crc32(bytes), text: "" };
      expectBody(read, this.#uploadBody(index), path);
    });
  }
}

function downloadPath(index: number): string {
  return `/v1/cache/d${index}`;
}

async function fillWith(node: NodeProcess, contents: Contents, count: number): Promise<void> {
  await inBatches(count, fillsAtOnce, async (index) => {
    const body = new Uint8Array(contents.of(index));
    const answer = await fetch(node.url + downloadPath(index), { method: "PUT", body });
    if (answer.status !== 200) throw new Error(`A body was answered ${answer.status}`);
  });
}

function expectBody(answer: SlowAnswer, content: Uint8Array, path: string): void {
  const { status, sizeBytes, crc, text } = answer;
  if (status === 200 && sizeBytes === content.length && crc === crc32(content)) return;
  throw new Error(`${path} was answered ${status} with ${sizeBytes} bytes, CRC ${crc} ${text}`);
}

/** Bytes above `beforeBytes` when the node has had time to give back what it can. */
async function settled(node: NodeProcess, beforeBytes: number): Promise<number> {
  const deadlineMs = performance.now() + settleMsMax;
  let leastBytes = memoryOf(node.pid);
  while (performance.now() < deadlineMs && leastBytes > beforeBytes + keptBytesMax) {
    await Bun.sleep(tickMs);
    leastBytes = Math.min(leastBytes, memoryOf(node.pid));
  }
  return leastBytes - beforeBytes;
}

async function inBatches<T>(
  count: number,
  atOnce: number,
  work: (index: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  for (let first = 0; first < count; first += atOnce) {
    const batch = Array.from({ length: Math.min(atOnce, count - first) }, (_, i) =>
      work(first + i),
    );
    results.push(...(await Promise.all(batch)));
  }
  return results;
}
