import { afterAll, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { systemClock } from "../../runtime/base/clock.ts";
import { type Random, seededRandom, systemRandom } from "../../runtime/base/random.ts";
import { realDisk } from "../../runtime/base/real-disk.ts";
import { GiB, MiB, minute } from "../../runtime/base/units.ts";
import { makeScope, nameArtifact } from "../../runtime/store/identity.ts";
import type { NodeStore } from "../../runtime/store/node-store.ts";
import { openStore } from "../../runtime/store/open.ts";
import { SqliteHome } from "../../runtime/store/sqlite-home.ts";
import type { BodyFacts, Change } from "../../runtime/store/store.ts";
import { compareRebuild, contentOf, differences } from "../support/sim-store-rebuild.ts";
import type { Marks } from "../support/sim-store-run.ts";

const historyCount = 1_500;
const marksWanted = [
  "rebuilt",
  "failed call",
  "tombstones",
  "deleted rows",
  "large file missing",
  "segment removed",
];

test(
  "an index made from the files equals the one that was lost, over random histories",
  async () => {
    const marks: Marks = new Map();
    const seed = 42;
    await fc.assert(
      fc.asyncProperty(fc.nat(2 ** 31), async (history) => {
        const found = await compareRebuild(history, marks);
        if (found.length > 0) throw new Error(`history ${history}: ${found.join("; ")}`);
      }),
      { seed, numRuns: historyCount, endOnFailure: true },
    );
    console.log(`rebuild: ${historyCount} histories, ${JSON.stringify(Object.fromEntries(marks))}`);
    expect(marksWanted.filter((mark) => !marks.has(mark))).toEqual([]);
  },
  5 * minute,
);

const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "kura-rebuild-"));
afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }));

function openReal(dataDir: string): NodeStore {
  const options = {
    dataDir,
    capacityBytes: GiB,
    manifestCacheBytesMax: MiB,
    bodyCacheBytesMax: MiB,
    indexCacheBytes: MiB,
    walBytesMax: 64 * MiB,
    note: () => {},
  };
  return openStore(options, { disk: realDisk, clock: systemClock, random: systemRandom });
}

const facts: BodyFacts = { kind: "keyValue", sha256: null, attributes: { tag: "t" }, writer: "me" };

async function randomChange(store: NodeStore, random: Random): Promise<Change> {
  const scope = makeScope("tenant", `space${random.below(3)}`);
  const name = nameArtifact("gradle", scope, `key${random.below(30)}`);
  const draw = random.below(20);
  if (draw === 0) return { op: "clean", scope };
  if (draw < 4) return { op: "delete", name, kind: "gradle" };
  const rule = draw < 10 ? "firstWins" : "lastWins";
  const bytes = random.bytes(random.below(3_000));
  const put = { ...facts, op: "put", name, rule, contentType: "application/json" } as const;
  if (draw > 5) return { ...put, body: bytes };
  const stage = store.stage(bytes.length);
  await stage.write(bytes);
  return { ...put, body: await stage.finish(name, facts) };
}

test("the same holds with SQLite and the real disk", async () => {
  for (const seed of [1, 2, 3]) {
    const dataDir = path.join(temporary, String(seed));
    fs.mkdirSync(dataDir);
    const random = seededRandom(seed);
    for (let life = 0; life < 3; life++) {
      const store = openReal(dataDir);
      await store.ready;
      for (let group = 0; group < 12; group++) {
        const changes: Change[] = [];
        for (let i = random.below(8); i >= 0; i--) changes.push(await randomChange(store, random));
        await Promise.all(changes.map((change) => store.commit(change)));
      }
      await store.close();
    }
    const home = new SqliteHome({ disk: realDisk, dataDir, cacheBytes: MiB });
    const before = home.open();
    const lost = contentOf(before);
    before.close();
    home.setAside();
    const store = openReal(dataDir);
    await store.ready;
    await store.close();
    const after = home.open();
    const rebuilt = contentOf(after);
    after.close();
    expect(lost.rows.length).toBeGreaterThan(20);
    expect(differences(lost, rebuilt)).toEqual([]);
  }
});
