import { describe, expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { minute, second } from "../../runtime/base/units.ts";
import { startNode } from "../support/node-process.ts";
import { readMetric, readScrub, runCycle } from "../support/scrub-control.ts";
import { startForeground } from "../support/scrub-load.ts";
import { runScrubDamages } from "../support/scrub-run.ts";

const damages = 120;
const calmMs = 20 * second;
const largeBytes = 3_000_000;
const longBytes = 700_000;
const testMsMax = 3 * minute;

describe("bits that flip under a running node", () => {
  for (const hasReaders of [false, true]) {
    const who = hasReaders ? "by readers or by the scrub" : "by the scrub alone";
    test(
      `are found within one cycle ${who}, are misses from then on, and heal by a new upload`,
      async () => {
        const { last, ...counts } = await runScrubDamages(damages, hasReaders);
        const { damagedArtifacts, damagedElsewhere, damagedHeaders } = last;
        const found = { damagedArtifacts, damagedElsewhere, damagedHeaders };
        console.log(`scrub: ${JSON.stringify({ damages, ...counts, ...found })}`);
        expect(counts.hit).toBeGreaterThan(damages / 4);
        expect(counts.foregroundCalls).toBeGreaterThan(50);
        if (hasReaders) expect(counts.foundByScrub).toBeLessThanOrEqual(counts.hit);
        else expect(counts.foundByScrub).toBe(counts.hit);
      },
      testMsMax,
    );
  }

  test(
    "of bodies that are sent unread are found although they were checked a moment ago",
    async () => {
      await using node = await startNode({ env: { KURA_SCRUB_BYTES_PER_SECOND: "0" } });
      const urls = [largeBytes, longBytes].map((size) => `${node.url}/v1/cache/${size}`);
      const bodies = [largeBytes, longBytes].map((size) => Buffer.alloc(size, `${size} `));
      const put = async (i: number) => {
        const body = new Uint8Array(bodies[i] ?? []);
        return (await fetch(urls[i] ?? "", { method: "PUT", body })).status;
      };
      const get = async (i: number) => {
        const answer = await fetch(urls[i] ?? "");
        const bytes = Buffer.from(await answer.arrayBuffer());
        return answer.status === 200 ? bytes.equals(bodies[i] ?? Buffer.alloc(0)) : answer.status;
      };
      for (const i of [0, 1]) expect([await put(i), await get(i)]).toEqual([200, true]);
      for (const folder of ["large", "segments"]) flipLast(path.join(node.dataDir, folder));
      const { damages: found } = await runCycle(node);
      expect(found.map(({ key, sizeBytes }) => `${key} ${sizeBytes}`).sort()).toEqual([
        `${largeBytes} ${largeBytes}`,
        `${longBytes} ${longBytes}`,
      ]);
      for (const i of [0, 1]) expect(await get(i)).toBe(404);
      for (const i of [0, 1]) expect([await put(i), await get(i)]).toEqual([200, true]);
    },
    testMsMax,
  );
});

test.each([
  ["overwrites, cleans and large uploads", false],
  ["overwrites, cleans, large uploads and eviction", true],
])(
  "cycle after cycle under %s finds nothing to complain of",
  async (_, isEvicting) => {
    const env = isEvicting ? { KURA_CAS_CAPACITY_BYTES: "64MiB" } : {};
    await using node = await startNode({ env });
    const foreground = startForeground(node.port, 5, isEvicting);
    const endMs = performance.now() + calmMs;
    while (performance.now() < endMs) await runCycle(node);
    await foreground.stop();
    const { cycles, checkedBytes, ...report } = await readScrub(node);
    console.log(`calm scrub: ${JSON.stringify({ cycles, checkedBytes, ...foreground.counts })}`);
    expect(cycles).toBeGreaterThan(5);
    expect(foreground.counts.clean).toBeGreaterThan(5);
    expect(report).toMatchObject({ damagedArtifacts: 0, damagedElsewhere: 0, damagedHeaders: 0 });
    expect(await readMetric(node, "kura_store_damaged_bodies_total")).toBe(0);
    const evicted = await readMetric(node, "kura_store_evicted_artifacts_total");
    expect(evicted > 0).toBe(isEvicting);
    expect(node.stderr().match(/.*"level":"(warn|error)","message":"store.*/g)).toBeNull();
  },
  testMsMax,
);

/** Flips a bit in the middle of the newest file of a folder. */
function flipLast(folder: string): void {
  const file = path.join(folder, fs.readdirSync(folder).sort().at(-1) ?? "");
  const handle = fs.openSync(file, "r+");
  const at = Math.floor(fs.fstatSync(handle).size / 2);
  const byte = Buffer.alloc(1);
  fs.readSync(handle, byte, 0, 1, at);
  fs.writeSync(handle, Buffer.from([byte[0]! ^ 8]), 0, 1, at);
  fs.closeSync(handle);
}
