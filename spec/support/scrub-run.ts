import { isDeepStrictEqual } from "node:util";
import { KiB } from "../../runtime/base/units.ts";
import type { ScrubReport } from "../../runtime/store/scrub-figures.ts";
import { applyDamage, type Damage, drawDamage, isChange, touchedSpans } from "./bit-flip.ts";
import { type FaultRun, withFaultRun } from "./fault-run.ts";
import { type FileMap, mapFiles } from "./file-map.ts";
import {
  fillKnownStore,
  fillMore,
  type KnownKey,
  putAgain,
  readKnownStore,
} from "./known-store.ts";
import { keyText } from "./load-surface.ts";
import type { NodeProcess } from "./node-process.ts";
import { readMetric, runCycle } from "./scrub-control.ts";
import { startForeground } from "./scrub-load.ts";

export type ScrubRunReport = {
  /** Artifacts that were hit. */
  readonly hit: number;
  /** Of them, those that the scrub found before a reader did. */
  readonly foundByScrub: number;
  readonly foregroundCalls: number;
  readonly last: ScrubReport;
};

/** Bodies up to here are checked at each read, so that a reader never sees one that was damaged. */
const checkedEachReadBytesMax = 32 * KiB;
const mapTriesMax = 5;

/**
 * Damages the files of a running node under load: one cycle of the scrub makes a miss of everything that was hit and of
 * nothing else, and what is written again is whole. `hasReaders`: what is damaged is being read all the while.
 */
export function runScrubDamages(damageCount: number, hasReaders: boolean): Promise<ScrubRunReport> {
  return withFaultRun("scrub", async (run) => {
    const known = await fillKnownStore(run);
    const node = await run.start({ env: { KURA_SCRUB_BYTES_PER_SECOND: "0" } });
    await fillMore(node.port, run, known);
    // Every body is in a cache or was checked a moment ago: only the scrub can know better.
    await readAndCompare(node, known, new Set());
    const map = mapRunning(run);
    const damages = drawChanges(run, map, damageCount);
    const hit = hitKeys(damages, map, known);
    const foreground = startForeground(node.port, run.seed);
    const readers = hasReaders ? readUntilStopped(node, known) : null;
    for (const damage of damages) applyDamage(damage);
    const first = await runCycle(node);
    await compareFound(node, hit, first);
    await readers?.stop();
    await readAndCompare(node, known, hit);
    await putAgain(node.port, run, [...hit]);
    await readAndCompare(node, known, new Set());
    const last = await runCycle(node);
    await compareFound(node, hit, last);
    await foreground.stop();
    await node.stop();
    const foundByScrub = first.damagedArtifacts;
    return { hit: hit.size, foundByScrub, foregroundCalls: foreground.waitsMs.length, last };
  });
}

/** The index of a running node is copied file by file: a checkpoint in between spoils the copy. */
function mapRunning(run: FaultRun): FileMap {
  for (let tries = 1; ; tries++) {
    try {
      return mapFiles(run.dataDir, run.folder);
    } catch (error) {
      if (tries === mapTriesMax) throw error;
    }
  }
}

type Known = Map<string, KnownKey>;

/** Damages that change something: a sector of zeros put over zeros is none. */
function drawChanges(run: FaultRun, map: FileMap, count: number): Damage[] {
  const damages: Damage[] = [];
  while (damages.length < count) {
    const damage = drawDamage(run.random, map);
    if (isChange(damage)) damages.push(damage);
  }
  return damages;
}

/** The keys whose bytes were damaged and that are not cleaned. */
function hitKeys(damages: readonly Damage[], map: FileMap, known: Known): Set<KnownKey> {
  const ids = new Set(
    damages.flatMap((damage) =>
      touchedSpans(damage, map.spans)
        .filter((span) => span.isLive)
        .map((span) => span.id),
    ),
  );
  return new Set([...known.values()].filter(({ id, value }) => value !== null && ids.has(id)));
}

/** What the scrub found was hit, and with what readers met before it is everything that was hit. */
async function compareFound(
  node: NodeProcess,
  hit: ReadonlySet<KnownKey>,
  { damages, damagedArtifacts }: ScrubReport,
): Promise<void> {
  const wanted = new Set([...hit].map(({ id }) => Buffer.from(id, "latin1").toString("hex")));
  const wrong = damages.filter(({ id }) => !wanted.has(id));
  if (wrong.length > 0) throw new Error(`Found what is whole: ${JSON.stringify(wrong)}`);
  const total = await readMetric(node, "kura_store_damaged_bodies_total");
  if (total !== hit.size || damagedArtifacts > total) {
    throw new Error(`${hit.size} were hit, ${total} found, ${damagedArtifacts} by the scrub`);
  }
}

/** Every key that was hit is a miss, every other has its value. */
async function readAndCompare(
  node: NodeProcess,
  known: Known,
  hit: ReadonlySet<KnownKey>,
): Promise<void> {
  const found = await readKnownStore(node.port, known);
  for (const [text, entry] of known) {
    const wanted = hit.has(entry) ? null : entry.value;
    const value = found.get(text) ?? null;
    if (!isDeepStrictEqual(value, wanted)) {
      throw new Error(`${text} gave ${value}, not ${wanted} (it was ${entry.value})`);
    }
  }
}

/** Reads small artifacts while they are being damaged: each is what it was or, from some moment on, a miss. */
function readUntilStopped(node: NodeProcess, known: Known): { stop(): Promise<void> } {
  const small = new Map(
    [...known].filter(([, { value }]) => sizeOf(value) <= checkedEachReadBytesMax),
  );
  let isStopping = false;
  const reading = (async () => {
    const gone = new Set<string>();
    while (!isStopping) {
      for (const [text, value] of await readKnownStore(node.port, small)) {
        const entry = small.get(text);
        if (value === null) gone.add(text);
        else if (value !== entry?.value || gone.has(keyText(entry.key))) {
          throw new Error(`${text} gave ${value} while it was being damaged, not ${entry?.value}`);
        }
      }
    }
  })();
  reading.catch(() => {});
  return {
    async stop() {
      isStopping = true;
      await reading;
    },
  };
}

function sizeOf(value: string | null): number {
  return value === null ? 0 : Number(value.slice(value.indexOf("-") + 1));
}
