// heavy
import { expect, test } from "bun:test";
import { KiB, MiB, minute, second } from "../../runtime/base/units.ts";
import { descriptorsBack, descriptorsOf } from "../support/descriptor-count.ts";
import { makeContent } from "../support/load-surface.ts";
import { inMiB, watchMemory } from "../support/memory-watch.ts";
import { startNode } from "../support/node-process.ts";
import { moveAll, type SlowClient, slowUpload } from "../support/slow-clients.ts";

const count = 1_000;
/** Held in memory while they come, on disk for lack of memory, and on disk because of their size. */
const sizes = [48 * KiB, 600 * KiB, 2 * MiB];
/** As slow as the least rate lets the smallest two be: 16 KiB a second in each 10 s. */
const overMs = [2.5 * second, 30 * second, 60 * second];
const connectsAtOnce = 50;
/** A node of a memory group of 512 MiB has so much between its marks. */
const env = {
  KURA_MEMORY_SOFT_LIMIT_BYTES: "358MiB",
  KURA_MEMORY_HARD_LIMIT_BYTES: "435MiB",
  KURA_MANIFEST_CACHE_MAX_BYTES: "8MiB",
};
/**
 * All requests together hold 77 MiB at most; the collector lets as much again gather, and a half more when others have the
 * cores. With what the node has at rest it stays below the soft limit.
 */
const growthBytesMax = 200 * MiB;

test(
  "1,000 slow uploads are all taken, and normal ones go on beside them",
  async () => {
    await using node = await startNode({ env });
    const before = descriptorsOf(node.pid);
    await using memory = watchMemory(node.pid);
    const contents = sizes.map((size, i) => new Uint8Array(makeContent(`slow${i}`, size)));
    const clients: SlowClient[] = [];
    for (let first = 0; first < count; first += connectsAtOnce) {
      const batch = Array.from({ length: connectsAtOnce }, (_, i) => {
        const kind = (first + i) % sizes.length;
        return slowUpload({
          port: node.port,
          path: `/v1/cache/slow${first + i}`,
          body: contents[kind]!,
          overMs: overMs[kind]!,
        });
      });
      clients.push(...(await Promise.all(batch)));
    }
    let isOver = false;
    const normal = (async () => {
      const took: number[] = [];
      for (let i = 0; !isOver; i++) {
        const startMs = performance.now();
        const body = contents[i % sizes.length]!;
        const put = await fetch(`${node.url}/v1/cache/normal${i}`, { method: "PUT", body });
        const got = await fetch(`${node.url}/v1/cache/normal${i}`);
        expect([put.status, got.status]).toEqual([200, 200]);
        expect((await got.arrayBuffer()).byteLength).toBe(body.length);
        took.push(performance.now() - startMs);
        await Bun.sleep(50);
      }
      return took.sort((a, b) => a - b);
    })();
    let most = 0;
    const looks = setInterval(() => {
      most = Math.max(most, descriptorsOf(node.pid) - count);
    }, second);
    await moveAll(clients).finally(() => {
      isOver = true;
      clearInterval(looks);
    });
    const statuses = (await Promise.all(clients.map(({ ended }) => ended))).flat();
    const refused = statuses.filter(({ status }) => status !== 200);
    const took = await normal;
    const grownBytes = memory.maxBytes() - memory.beforeBytes;
    console.log(
      `${refused.length} of ${count} refused; ${took.length} normal ones, the slowest ${Math.round(took.at(-1) ?? 0)} ms; +${inMiB(grownBytes)} MiB; ${most} descriptors beside connections`,
    );
    expect(refused).toEqual([]);
    expect(grownBytes).toBeLessThan(growthBytesMax);
    // 64 to 256 files for requests, and what the node has anyway.
    expect(most).toBeLessThan(320);
    await descriptorsBack(node.pid, before, 20 * second);
  },
  4 * minute,
);
