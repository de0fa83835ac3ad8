import type { Disk } from "../../runtime/base/disk.ts";
import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { KiB } from "../../runtime/base/units.ts";
import { filePageBytes, fileSeed } from "../../runtime/store/format.ts";
import { bytesKey } from "../../runtime/store/identity.ts";
import type { Index, Mark, Row, Tombstone } from "../../runtime/store/index.ts";
import { recordTypes } from "../../runtime/store/record.ts";
import { RecordScanner } from "../../runtime/store/scan.ts";
import { Model } from "./model.ts";
import { SimClock } from "./sim-clock.ts";
import { SimStore, simDataDir } from "./sim-store.ts";
import { judgeStart, type Marks, randomFailure, randomSurvival, reach } from "./sim-store-run.ts";
import { randomSteps, ScriptedClients } from "./sim-store-script.ts";

/** All of an index, in a form that two can be compared in. */
export type IndexContent = {
  readonly rows: readonly Row[];
  readonly tombstones: readonly Tombstone[];
  readonly mark: Mark | null;
};

export function contentOf(index: Index): IndexContent {
  const rows = index.feed(0, 1_000_000);
  const tombstones = [...index.tombstones()].sort((a, b) =>
    bytesKey(a.scopeHash) < bytesKey(b.scopeHash) ? -1 : 1,
  );
  return { rows, tombstones, mark: index.mark() };
}

/**
 * What differs between an index and the one made from the files. Equal means: the same rows, deleted and cleaned ones
 * included, in every column; the same tombstones; the highest version; and the highest seq that a record has. The
 * lost index may know a higher seq: one that was given out and burnt leaves nothing in the log.
 */
export function differences(lost: IndexContent, rebuilt: IndexContent): string[] {
  const found: string[] = [];
  const rebuiltRows = new Map(rebuilt.rows.map((row) => [bytesKey(row.id), row]));
  for (const row of lost.rows) {
    const twin = rebuiltRows.get(bytesKey(row.id));
    if (twin === undefined) found.push(`row of seq ${row.seq} is missing`);
    else if (!Bun.deepEquals(plain(row), plain(twin))) {
      found.push(`row of seq ${row.seq}: ${JSON.stringify(plain(twin))}`);
    }
    rebuiltRows.delete(bytesKey(row.id));
  }
  for (const row of rebuiltRows.values()) found.push(`row of seq ${row.seq} is new`);
  const stones = (content: IndexContent) => content.tombstones.map(plain);
  if (!Bun.deepEquals(stones(lost), stones(rebuilt))) found.push("tombstones differ");
  const highest = Math.max(0, ...[...lost.rows, ...lost.tombstones].map(({ version }) => version));
  if ((rebuilt.mark?.version ?? 0) < highest) found.push("the highest version is lower");
  const seqs = [...lost.rows, ...lost.tombstones].map(({ seq }) => seq);
  if ((rebuilt.mark?.seq ?? 0) < Math.max(0, ...seqs)) found.push("the highest seq is lower");
  if ((rebuilt.mark?.seq ?? 0) > (lost.mark?.seq ?? 0)) found.push("a seq nobody gave out");
  return found;
}

function plain(record: Row | Tombstone): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => [
      name,
      value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value,
    ]),
  );
}

/** One random history, its index, and the index made from its files after some of them are gone. */
export async function compareRebuild(seed: number, marks: Marks): Promise<string[]> {
  const random = seededRandom(seed);
  const sim = await liveThrough(random);
  if (sim === null) return ["the last life did not start"];
  const lost = contentOf(sim.home.open());
  removeFiles(sim, lost, random, marks);
  if (sim.calls.failed.length > 0) reach(marks, "failed call");
  const remains = sim.kill();
  remains.home.setAside();
  const next = sim.next(remains);
  if (!(await next.ready())) return ["the store did not start without an index"];
  reach(marks, "rebuilt");
  const rebuilt = contentOf(next.home.open());
  if (lost.tombstones.length > 0) reach(marks, "tombstones");
  if (lost.rows.some(({ flags }) => flags % 2 === 1)) reach(marks, "deleted rows");
  return differences(lost, rebuilt);
}

/** Some lives with failures, kills and power cuts; the last one ends well. */
async function liveThrough(random: Random): Promise<SimStore | null> {
  const clock = new SimClock();
  const segmentBytesMax = [6, 12, 40][random.below(3)]! * KiB;
  const model = new Model();
  let sim = new SimStore({ random, clock, segmentBytesMax });
  const lives = 1 + random.below(3);
  for (let life = 1; ; life++) {
    const breaches = await judgeStart(sim, model);
    if (breaches.length > 0) return null;
    sim.home.flushesOnClose = random.below(2) === 0;
    const failure = randomFailure(random);
    if (random.below(2) === 0) sim.calls.fail({ ...failure, at: failure.at + 10, times: "once" });
    const clients = new ScriptedClients(sim, model);
    await clients.run(randomSteps(random, 10 + random.below(25)));
    sim.calls.heal();
    await sim.until(() => sim.store.state().at === "serving", 5_000);
    if (life === lives) return sim;
    model.cut();
    const isKill = random.below(2) === 0;
    const lost = random.below(sim.home.unflushedCount + 1);
    sim = sim.next(isKill ? sim.kill() : sim.powerCut(randomSurvival(random, 512), lost));
  }
}

/** Takes away large files, and segments that hold nothing which matters, as draining them would. */
function removeFiles(sim: SimStore, content: IndexContent, random: Random, marks: Marks): void {
  for (const name of sim.disk.list(`${simDataDir}/large`)) {
    if (random.below(3) > 0) continue;
    sim.disk.remove(`${simDataDir}/large/${name}`);
    reach(marks, "large file missing");
  }
  const names = sim.disk.list(`${simDataDir}/segments`).sort();
  const storeId = sim.home.open().identity()?.storeId ?? new Uint8Array(16);
  // The last segment is the end of the log, and the one before it is named by its header.
  for (const name of names.slice(0, -2)) {
    const path = `${simDataDir}/segments/${name}`;
    const file = Number(name.split(".")[0]);
    if (!holdsNothing(sim.disk, { path, file, storeId }, content)) continue;
    if (random.below(3) === 0) continue;
    sim.disk.remove(path);
    reach(marks, "segment removed");
  }
}

type SegmentPlace = { readonly path: string; readonly file: number; readonly storeId: Uint8Array };

/** Whether every record of a segment was replaced by a later one, and none is a tombstone. */
function holdsNothing(disk: Disk, place: SegmentPlace, content: IndexContent): boolean {
  const file = disk.open(place.path, "read");
  if (file === null) return false;
  const seqs = new Map(content.rows.map((row) => [bytesKey(row.id), row.seq]));
  const scanner = new RecordScanner(file, {
    seed: fileSeed(place.storeId, place.file),
    startBytes: filePageBytes,
    endBytes: file.sizeBytes(),
    chain: null,
    onDamage: "search",
    checksBodies: false,
  });
  let count = 0;
  for (let record = scanner.next(); record !== null; record = scanner.next()) {
    const { type, id, seq } = record.header;
    if (type === recordTypes.tombstone) return false;
    if ((seqs.get(bytesKey(id)) ?? 0) <= seq) return false;
    count += 1;
  }
  return count > 0;
}
