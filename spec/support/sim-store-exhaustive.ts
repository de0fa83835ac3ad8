import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { KiB } from "../../runtime/base/units.ts";
import { Model } from "./model.ts";
import { SimClock } from "./sim-clock.ts";
import type { CallKind } from "./sim-disk-calls.ts";
import type { Survival } from "./sim-disk-file.ts";
import { type Planted, SimStore } from "./sim-store.ts";
import { judgeStart, type Marks, markLife, reach } from "./sim-store-run.ts";
import { ScriptedClients, type Step } from "./sim-store-script.ts";

export type ExhaustiveOptions = {
  readonly steps: readonly Step[];
  readonly blockBytes: number;
  /** All subsets are tried of as many unflushed pieces; of more only a sample of that size. */
  readonly piecesMax: number;
  readonly marks: Marks;
  readonly planted?: Planted | null;
  /** Only every so many-th cut, from the first one on. */
  readonly stride?: number;
};

export type ExhaustiveReport = {
  /** Places where the power was cut: before each call that changes anything, and after the last. */
  cuts: number;
  /** Those with more unflushed pieces than could be tried in every combination. */
  sampledCuts: number;
  images: number;
  breaches: string[];
};

const changingKinds: readonly CallKind[] = [
  "create",
  "write",
  "sync",
  "syncFolder",
  "remove",
  "rename",
  "indexApply",
];
const breachesMax = 20;

/** Cuts the power at every place of a script and opens every image that such a cut can leave. */
export async function cutEverywhere(options: ExhaustiveOptions): Promise<ExhaustiveReport> {
  const report: ExhaustiveReport = { cuts: 0, sampledCuts: 0, images: 0, breaches: [] };
  const whole = await liveUntil(options, Number.MAX_SAFE_INTEGER);
  const places = whole.sim.calls.trace
    .filter(({ kind }) => changingKinds.includes(kind))
    .map(({ number }) => number);
  places.push(whole.sim.calls.count + 1);
  for (let i = 0; i < places.length; i += options.stride ?? 1) {
    await cutAt(options, places[i] ?? 1, report);
    if (report.breaches.length >= breachesMax) return report;
  }
  return report;
}

async function liveUntil(options: ExhaustiveOptions, offAt: number) {
  const sim = new SimStore({
    random: seededRandom(1),
    clock: new SimClock(),
    blockBytes: options.blockBytes,
    segmentBytesMax: 9 * KiB,
    planted: options.planted ?? null,
  });
  sim.calls.offAt = offAt;
  const model = new Model();
  const clients = new ScriptedClients(sim, model);
  if (await sim.ready()) await clients.run(options.steps);
  model.cut();
  markLife(options.marks, sim);
  return { sim, model, breaches: clients.breaches };
}

async function cutAt(options: ExhaustiveOptions, offAt: number, report: ExhaustiveReport) {
  const { sim, model, breaches } = await liveUntil(options, offAt);
  report.breaches.push(...breaches.map((each) => `before call ${offAt}: ${each}`));
  report.cuts += 1;
  const pieces = piecesOf(sim);
  const chance = seededRandom(offAt);
  if (pieces.length > options.piecesMax) report.sampledCuts += 1;
  for (const kept of subsets(pieces.length, options.piecesMax, chance)) {
    for (let lost = 0; lost <= sim.home.unflushedCount; lost++) {
      const made = sim.clock.made;
      const image = sim.next(sim.powerCut(survivalOf(pieces, kept), lost));
      const found = await judgeStart(image, model.copy());
      markLife(options.marks, image);
      if (lost > 0) reach(options.marks, "index lost transactions");
      image.calls.switchOff();
      // Its timers would keep all of it for as long as the clock goes on.
      sim.clock.forgetSince(made);
      report.images += 1;
      if (found.length === 0) continue;
      const left = pieces.filter((_, i) => kept(i)).join(", ");
      report.breaches.push(`before call ${offAt}, kept [${left}], index lost ${lost}: ${found[0]}`);
      if (report.breaches.length >= breachesMax) return;
    }
  }
}

/** Everything unflushed, by name: blocks, folder entries, sizes. */
function piecesOf(sim: SimStore): string[] {
  const { blocks, entries, sizes } = sim.disk.unflushed();
  return [
    ...blocks.map(({ path, block }) => `block ${path} ${block}`),
    ...entries.map((entry) => `entry ${entry}`),
    ...sizes.map((size) => `size ${size}`),
  ];
}

function survivalOf(pieces: readonly string[], kept: (piece: number) => boolean): Survival {
  const left = new Set(pieces.filter((_, i) => kept(i)));
  return {
    block: (path, block) => (left.has(`block ${path} ${block}`) ? "kept" : "lost"),
    entry: (folder, name) => left.has(`entry ${folder}/${name}`),
    size: (path) => left.has(`size ${path}`),
  };
}

/** Every subset of `count` pieces, or as many drawn ones beside the extreme ones. */
function* subsets(count: number, piecesMax: number, random: Random) {
  if (count <= piecesMax) {
    for (let mask = 0; mask < 2 ** count; mask++)
      yield (piece: number) => (mask >> piece) % 2 === 1;
    return;
  }
  yield () => false;
  yield () => true;
  for (let one = 0; one < count; one++) {
    yield (piece: number) => piece === one;
    yield (piece: number) => piece !== one;
  }
  for (let drawn = 2 * count + 2; drawn < 2 ** piecesMax; drawn++) {
    const keptOfTen = 1 + random.below(9);
    const chosen = Array.from({ length: count }, () => random.below(10) < keptOfTen);
    yield (piece: number) => chosen[piece] === true;
  }
}
