import path from "node:path";
import { applyDamage, type Damage, drawDamage, restoreFolder, touchedSpans } from "./bit-flip.ts";
import { type FaultRun, withFaultRun } from "./fault-run.ts";
import { type FileMap, mapFiles } from "./file-map.ts";
import { removeIndex } from "./index-files.ts";
import { fillKnownStore, type KnownKey, type KnownStore, readKnownStore } from "./known-store.ts";

export type BitFlipReport = {
  damages: number;
  /** Keys whose record was damaged and which were a miss. */
  missed: number;
  /** Keys whose record was damaged where it does not matter. */
  whole: number;
  untouched: number;
};

const damagesPerBatch = 50;
/** Every so many batches the index is gone too, so that the damaged files are all there is. */
const rebuildPeriod = 4;

/**
 * Damages the files of a stopped node in `count` places, a batch of distinct ones a start, and reads every key
 * through its surface: a damaged one is a miss, never other bytes, and all others are as they were.
 */
export function runBitFlips(count: number): Promise<BitFlipReport> {
  return withFaultRun("bit-flip", async (run) => {
    const known = await fillKnownStore(run);
    const pristine = path.join(run.folder, "pristine");
    restoreFolder(run.dataDir, pristine);
    const map = mapFiles(run.dataDir, run.folder);
    checkMap(map, known);
    const report = { damages: 0, missed: 0, whole: 0, untouched: 0 };
    for (let batch = 0; report.damages < count; batch++) {
      restoreFolder(pristine, run.dataDir);
      const isRebuild = batch % rebuildPeriod === rebuildPeriod - 1;
      const damages = drawBatch(run, map, isRebuild, count - report.damages);
      for (const damage of damages) applyDamage(damage);
      if (isRebuild) removeIndex(run.dataDir);
      await readAndCompare({ run, known, map, damages, isRebuild, report });
      report.damages += damages.length;
    }
    return report;
  });
}

/** The map must know each live key, or a damage would be blamed on nobody. */
function checkMap(map: FileMap, known: KnownStore): void {
  const liveIds = new Set(map.spans.filter((span) => span.isLive).map((span) => span.id));
  for (const [text, { id, value }] of known) {
    if (value !== null && !liveIds.has(id)) throw new Error(`No file seems to hold ${text}`);
  }
}

function drawBatch(run: FaultRun, map: FileMap, isRebuild: boolean, countMax: number): Damage[] {
  const damages: Damage[] = [];
  while (damages.length < Math.min(damagesPerBatch, countMax)) {
    const damage = drawDamage(run.random, map);
    // A tombstone is on disk once and in the index once: with both damaged nobody can know of the clean any more.
    const touched = touchedSpans(damage, map.spans);
    if (isRebuild && touched.some((span) => span.type === "tombstone")) continue;
    damages.push(damage);
  }
  return damages;
}

type Batch = {
  run: FaultRun;
  known: KnownStore;
  map: FileMap;
  damages: readonly Damage[];
  isRebuild: boolean;
  report: BitFlipReport;
};

async function readAndCompare(batch: Batch): Promise<void> {
  const { run, known, map, damages, isRebuild, report } = batch;
  const touchedIds = new Set<string>();
  for (const damage of damages) {
    for (const span of touchedSpans(damage, map.spans)) {
      // Reads of a large body do not look at its reference record, but a rebuild does.
      if (span.isLive || isRebuild) touchedIds.add(span.id);
    }
  }
  const node = await run.start();
  const found = await readKnownStore(node.port, known);
  await node.kill();
  for (const [text, entry] of known) {
    const value = found.get(text) ?? null;
    if (!touchedIds.has(entry.id)) {
      if (value !== entry.value) throw new Error(describe("a neighbour", text, entry, value));
      report.untouched++;
    } else if (value === null) report.missed++;
    else if (value === entry.value) report.whole++;
    else if (!isRebuild || !entry.earlier.includes(value) || entry.value === null) {
      throw new Error(describe("a damaged key", text, entry, value));
    }
  }
}

function describe(who: string, text: string, entry: KnownKey, value: string | null): string {
  return `${who} gave wrong bytes: ${text} has ${value}, not ${entry.value} (before: ${entry.earlier})`;
}
