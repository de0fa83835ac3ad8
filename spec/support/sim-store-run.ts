import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { KiB } from "../../runtime/base/units.ts";
import { Model } from "./model.ts";
import { SimClock } from "./sim-clock.ts";
import type { CallKind, Failure } from "./sim-disk-calls.ts";
import type { Survival } from "./sim-disk-file.ts";
import { type Planted, type Remains, SimStore } from "./sim-store.ts";
import { nameOf, randomSteps, ScriptedClients } from "./sim-store-script.ts";

/** Places in the store's life that the runs must reach: how often each one was. */
export type Marks = Map<string, number>;

export function reach(marks: Marks, name: string): void {
  marks.set(name, (marks.get(name) ?? 0) + 1);
}

/** What every long enough run of seeds must have met. */
const seedMarks: readonly string[] = [
  "torn tail seen",
  "searched past a bad record",
  "records replayed",
  "index lost transactions",
  "index set aside",
  "index damaged",
  "index lost",
  "index repaired",
  "rebuilt",
  "rotated",
  "read-only",
  "healed",
  "failed call",
  "group voided",
  "aborted upload removed",
  "killed",
  "cut with unflushed blocks",
  "cut with unflushed entries",
];

/** What events of the store count as, by their name in its notes. */
const noteMarks: Readonly<Record<string, string>> = {
  "torn tail": "torn tail seen",
  "index set aside": "index set aside",
  "index repair": "index repaired",
  "read-only": "read-only",
  "writing again": "healed",
  "aborted uploads removed": "aborted upload removed",
};

export function markLife(marks: Marks, sim: SimStore): void {
  for (const { event, details } of sim.notes) {
    const mark = noteMarks[event];
    if (mark !== undefined) reach(marks, mark);
    if (event !== "recovered") continue;
    if (details.rebuilt === true) reach(marks, "rebuilt");
    if (Number(details.records) > 0) reach(marks, "records replayed");
    if (Number(details.damaged) > 0) reach(marks, "searched past a bad record");
  }
  const creates = sim.calls.trace.filter(({ kind, path }) => kind === "create" && isSegment(path));
  if (creates.length > 1) reach(marks, "rotated");
  const failedAppend = sim.calls.failed.find(
    ({ kind, path }) => (kind === "write" || kind === "sync") && isSegment(path),
  );
  const isVoided =
    failedAppend !== undefined && creates.some(({ number }) => number > failedAppend.number);
  if (isVoided) reach(marks, "group voided");
}

export function isSegment(path: string): boolean {
  return path.includes("/segments/");
}

/** Chance in the fate of what was not flushed; some cuts keep nearly all, some nothing. */
export function randomSurvival(random: Random, blockBytes: number): Survival {
  const keptOfTen = [0, 1, 5, 9, 10][random.below(5)] ?? 5;
  const tornOfTen = random.below(3);
  return {
    block() {
      if (random.below(10) < tornOfTen) return { torn: random.below(blockBytes) };
      return random.below(10) < keptOfTen ? "kept" : "lost";
    },
    entry: () => random.below(10) < keptOfTen,
    size: () => random.below(10) < keptOfTen,
  };
}

/** Opens what is left, waits for it and compares all it says with the model. Returns breaches. */
export async function judgeStart(sim: SimStore, model: Model): Promise<string[]> {
  try {
    if (!(await sim.ready())) return sim.calls.isOff ? [] : ["the store never got ready"];
  } catch (error) {
    return [`the store did not start: ${String(error)}`];
  }
  const found = new Map<string, Uint8Array | "damaged" | null>();
  for (const { scope, key } of model.keys()) {
    found.set(`${scope}/${key}`, await sim.read(nameOf(scope, key)));
  }
  if (sim.calls.isOff) return [];
  return model.settle(found);
}

/** A second judge: files whose sync failed must never be synced or written again in the same life. */
export function judgeTrace(sim: SimStore): string[] {
  const breaches: string[] = [];
  const ended = new Set<string>();
  const failed = new Set(sim.calls.failed.map(({ number }) => number));
  for (const { number, kind, path } of sim.calls.trace) {
    if (kind === "sync" && ended.has(path)) breaches.push(`call ${number}: second sync of ${path}`);
    if (kind === "write" && ended.has(path))
      breaches.push(`call ${number}: write to ${path} after it failed`);
    if (failed.has(number) && (kind === "sync" || kind === "write")) ended.add(path);
  }
  return breaches;
}

export type SeedRun = {
  readonly seed: number;
  readonly marks: Marks;
  readonly planted?: Planted | null;
  /** Told of each life as it begins, to look into a seed that failed. */
  readonly onLife?: (sim: SimStore) => void;
};

/** The store looks once a second whether it can write again, and waits a second for its index. */
const healingMsMax = 5_000;
const generationsMax = 4;
const callsPerLifeMax = 90;

/**
 * One seed: several lives of one store, each ended by a power cut or a kill at a random call, also during recovery.
 * Returns what was wrong, at once after the first bad life.
 */
export async function runSeed({
  seed,
  marks,
  planted = null,
  onLife = () => {},
}: SeedRun): Promise<string[]> {
  const random = seededRandom(seed);
  const blockBytes = random.below(4) === 0 ? 4 * KiB : 512;
  const clock = new SimClock();
  const settings = {
    random,
    clock,
    blockBytes,
    planted,
    segmentBytesMax: [6, 12, 64][random.below(3)]! * KiB,
    walBytesMax: random.below(2) === 0 ? 20 * KiB : 1024 * KiB,
  };
  const model = new Model();
  let remains: Remains | undefined;
  for (let generation = 0; generation < generationsMax; generation++) {
    const sim = new SimStore(settings, remains);
    onLife(sim);
    sim.home.flushesOnClose = random.below(2) === 0;
    sim.calls.offAt =
      random.below(5) === 0 ? 1 + random.below(12) : 8 + random.below(callsPerLifeMax);
    const isFailing = random.below(3) === 0;
    if (isFailing) sim.calls.fail(randomFailure(random));
    const breaches = await liveOnce(sim, model, random);
    if (sim.calls.failed.length > 0) reach(marks, "failed call");
    markLife(marks, sim);
    if (breaches.length > 0) return breaches.map((each) => `life ${generation + 1}: ${each}`);
    model.cut();
    remains = endLife(sim, random, blockBytes, marks);
  }
  const last = new SimStore(settings, remains);
  const breaches = await judgeStart(last, model);
  markLife(marks, last);
  last.calls.switchOff();
  return breaches.map((each) => `after the last life: ${each}`);
}

async function liveOnce(sim: SimStore, model: Model, random: Random): Promise<string[]> {
  if (!(await startDespiteFailure(sim))) return [];
  const breaches = await judgeStart(sim, model);
  if (breaches.length > 0 || sim.calls.isOff) return breaches;
  const clients = new ScriptedClients(sim, model);
  await clients.run(randomSteps(random, 6 + random.below(24)));
  if (!sim.calls.isOff && sim.store.state().at !== "serving" && random.below(4) > 0) {
    sim.calls.heal();
    const isServing = await sim.until(() => sim.store.state().at === "serving", healingMsMax);
    if (!isServing && !sim.calls.isOff) clients.breaches.push("did not serve again when healed");
    await clients.run(randomSteps(random, 8));
  }
  if (!sim.calls.isOff) await clients.judgeReads();
  return [...clients.breaches, ...judgeTrace(sim)];
}

/** False when the start failed because it was made to; any other failure is for the judge. */
async function startDespiteFailure(sim: SimStore): Promise<boolean> {
  try {
    await sim.ready();
    return true;
  } catch {
    return sim.calls.failed.length === 0;
  }
}

const failingKinds: readonly CallKind[] = [
  "create",
  "write",
  "sync",
  "syncFolder",
  "remove",
  "indexApply",
  "indexOpen",
  "checkpoint",
];

/** One failure of one kind of call, once or for the rest of the life. */
export function randomFailure(random: Random): Failure {
  return {
    at: 1 + random.below(10),
    kind: failingKinds[random.below(failingKinds.length)] ?? "sync",
    times: random.below(3) === 0 ? "forever" : "once",
    code: random.below(3) === 0 ? "ENOSPC" : "EIO",
    effect: [0, 0.3, 0.7, 1][random.below(4)] ?? 0,
  };
}

/** A power cut in most cases, else a kill; sometimes the index is lost as a whole. */
function endLife(sim: SimStore, random: Random, blockBytes: number, marks: Marks): Remains {
  if (random.below(4) === 0) {
    reach(marks, "killed");
    return sim.kill();
  }
  const { blocks, entries } = sim.disk.unflushed();
  if (blocks.length > 0) reach(marks, "cut with unflushed blocks");
  if (entries.length > 0) reach(marks, "cut with unflushed entries");
  const unflushed = sim.home.unflushedCount;
  const lost = random.below(3) === 0 ? unflushed : random.below(unflushed + 1);
  if (lost > 0) reach(marks, "index lost transactions");
  const remains = sim.powerCut(randomSurvival(random, blockBytes), lost);
  if (random.below(8) === 0) {
    reach(marks, "index lost");
    remains.home.setAside();
  } else if (random.below(16) === 0) {
    reach(marks, "index damaged");
    remains.home.damage();
  }
  return remains;
}

export type SeedsReport = { readonly seeds: number; readonly failed: readonly string[] };

const failedSeedsMax = 5;

/** Runs seeds in order, and stops when a few have failed: each is printed with what was wrong. */
export async function runSeeds(
  seeds: Iterable<number>,
  options: Omit<SeedRun, "seed">,
): Promise<SeedsReport> {
  const failed: string[] = [];
  let count = 0;
  for (const seed of seeds) {
    const breaches = await runSeed({ ...options, seed });
    count += 1;
    if (breaches.length > 0) failed.push(`seed ${seed}: ${breaches.join("; ")}`);
    if (failed.length >= failedSeedsMax) break;
  }
  return { seeds: count, failed };
}

export function* seedsFrom(first: number, count: number): Generator<number> {
  for (let seed = first; seed < first + count; seed++) yield seed;
}

/** Marks of the list that were reached less than `timesMin` times. */
export function missedMarks(marks: Marks, timesMin: number): string[] {
  return seedMarks.filter((mark) => (marks.get(mark) ?? 0) < timesMin);
}
