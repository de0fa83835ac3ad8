import { expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { sha256 } from "../../../../runtime/base/digest.ts";
import { seededRandom } from "../../../../runtime/base/random.ts";
import { realDisk } from "../../../../runtime/base/real-disk.ts";
import { MiB } from "../../../../runtime/base/units.ts";
import { CensusTally } from "../../../../runtime/store/census.ts";
import { walkCensus } from "../../../../runtime/store/census-walk.ts";
import { bytesKey } from "../../../../runtime/store/identity.ts";
import type { Row } from "../../../../runtime/store/index.ts";
import { SqliteHome } from "../../../../runtime/store/sqlite-home.ts";

test.each([1, 7, 100, 101, 10_000])("an index is counted whole in steps of %d rows", (stepRows) => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "kura-walk-"));
  const home = new SqliteHome({ disk: realDisk, dataDir, cacheBytes: MiB });
  const index = home.open();
  const random = seededRandom(stepRows);
  const mark = { file: 1, offsetBytes: 4_096, chain: 0, seq: 0, version: 0, fileHigh: 1 };
  const scopes = ["a", "b", "c"].map((name) => sha256(name).slice(0, 16));
  const rows = Array.from({ length: 202 }, (_, i): Row => {
    return {
      id: random.bytes(32),
      file: 1 + random.below(3),
      offsetBytes: 4_096 + i,
      metadataBytes: 60,
      sizeBytes: random.below(1_000),
      seq: i,
      version: 1_000 + i,
      origin: 1,
      digest: i,
      kind: 4,
      producer: 1 + random.below(8),
      flags: random.below(5) === 0 ? 1 : 0,
      scopeHash: scopes[random.below(3)]!,
      writerHash: new Uint8Array(8),
    };
  });
  const tombstone = { scopeHash: scopes[1]!, version: 1_100, origin: 1, seq: 500 };
  index.adopt({ storeId: new Uint8Array(16) }, mark);
  index.apply({ rows, tombstones: [tombstone], mark, quarantined: [] });
  const tally = new CensusTally(new Map([[bytesKey(tombstone.scopeHash), tombstone.version]]));
  for (const row of rows) tally.add(row);
  const database = home.openBeside();
  const steps = walkCensus(database, stepRows);
  let pauses = 0;
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) pauses += 1;
  expect(step.value).toEqual(tally.finish());
  expect(step.value.cleaned.artifactCount).toBeGreaterThan(0);
  expect(pauses).toBe(Math.ceil(rows.length / stepRows));
  database.close();
  index.close();
  fs.rmSync(dataDir, { recursive: true, force: true });
});
