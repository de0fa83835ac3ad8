import { expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { systemClock } from "../../../../runtime/base/clock.ts";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { type Random, seededRandom } from "../../../../runtime/base/random.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { MiB } from "../../../../runtime/base/units.ts";
import type { Index, Row } from "../../../../runtime/store/index.ts";
import { SqliteHome } from "../../../../runtime/store/sqlite-home.ts";
import { versionOfWall } from "../../../../runtime/store/version.ts";
import { WorkerMaintenance } from "../../../../runtime/store/worker-maintenance.ts";

const rowCount = 1_000_000;
const rowsPerBatch = 5_000;

function makeRow(random: Random, seq: number, scopes: readonly Uint8Array[]): Row {
  return {
    id: random.bytes(32),
    file: 1 + Math.floor(seq / 4_000),
    offsetBytes: (seq % 4_000) * 30_000,
    metadataBytes: 90,
    sizeBytes: random.below(60_000),
    seq,
    version: versionOfWall(1_800_000_000_000 + seq),
    origin: 1,
    digest: seq,
    kind: 4,
    producer: 1 + random.below(8),
    flags: 0,
    scopeHash: scopes[random.below(scopes.length)]!,
    writerHash: new Uint8Array(8),
  };
}

function fillIndex(index: Index, scopes: readonly Uint8Array[]): void {
  const random = seededRandom(4);
  const mark = { file: 1, offsetBytes: 4_096, chain: 0, seq: 0, version: 0, fileHigh: 1 };
  index.adopt({ storeId: new Uint8Array(16) }, mark);
  for (let seq = 1; seq <= rowCount; seq += rowsPerBatch) {
    const rows = Array.from({ length: rowsPerBatch }, (_, i) => makeRow(random, seq + i, scopes));
    index.apply({ rows, tombstones: [], quarantined: [], mark: { ...mark, seq } });
  }
}

/** The longest time in which the loop did not turn, until `stop`. */
function watchLoop(): { stop: () => number } {
  let [last, longestMs, isOn] = [performance.now(), 0, true];
  const turn = (): void => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last);
    last = now;
    if (isOn) setTimeout(turn, 1);
  };
  setTimeout(turn, 1);
  return {
    stop: () => {
      isOn = false;
      return longestMs;
    },
  };
}

test.each([50, 100_000])(
  "a census of a million rows in %d scopes leaves the loop alone",
  async (scopeCount) => {
    const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "kura-census-"));
    const scopes = Array.from({ length: scopeCount }, (_, i) => sha256(`scope ${i}`).slice(0, 16));
    const home = new SqliteHome({ disk: realDisk, dataDir, cacheBytes: 16 * MiB });
    const index = home.open();
    fillIndex(index, scopes);
    const maintenance = new WorkerMaintenance(dataDir, systemClock);
    await maintenance.checkpoint();
    const beforeBytes = process.memoryUsage.rss();
    // The same loop without the census: what a busy machine makes of it.
    const idle = watchLoop();
    await Bun.sleep(2_000);
    const idlePauseMs = idle.stop();
    const loop = watchLoop();
    const startMs = performance.now();
    const census = await maintenance.census();
    const tookMs = performance.now() - startMs;
    const pauseMs = loop.stop();
    const grownBytes = process.memoryUsage.rss() - beforeBytes;
    console.log(
      `census of ${rowCount} rows in ${scopeCount} scopes: ${Math.round(tookMs)} ms, ` +
        `longest pause of the loop ${pauseMs.toFixed(1)} ms (${idlePauseMs.toFixed(1)} without), RSS +${Math.round(grownBytes / MiB)} MiB`,
    );
    expect(census.total.artifactCount).toBe(rowCount);
    expect(census.holdings.count).toBe(Math.min(8 * scopeCount, 8_192));
    expect(tookMs).toBeLessThan(60_000);
    await maintenance.close();
    index.close();
    fs.rmSync(dataDir, { recursive: true, force: true });
  },
);
