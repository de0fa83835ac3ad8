import { seededRandom } from "../../runtime/base/random.ts";
import { KiB } from "../../runtime/base/units.ts";
import { Model } from "./model.ts";
import { SimClock } from "./sim-clock.ts";
import type { CallKind, Failure } from "./sim-disk-calls.ts";
import { type Planted, type Remains, SimStore } from "./sim-store.ts";
import {
  judgeStart,
  judgeTrace,
  type Marks,
  markLife,
  randomSurvival,
  reach,
} from "./sim-store-run.ts";
import { ScriptedClients, type Step } from "./sim-store-script.ts";

/** Ways in which a call of each kind can fail; `effect` is explained at Failure. */
const waysToFail: Readonly<Partial<Record<CallKind, readonly Pick<Failure, "code" | "effect">[]>>> =
  {
    create: [
      { code: "EIO", effect: 0 },
      { code: "ENOSPC", effect: 0 },
    ],
    write: [
      { code: "EIO", effect: 0 },
      { code: "ENOSPC", effect: 0.5 },
      { code: "EIO", effect: 0.9 },
      { code: "EIO", effect: 1 },
    ],
    sync: [
      { code: "EIO", effect: 0 },
      { code: "ENOSPC", effect: 0 },
    ],
    syncFolder: [{ code: "EIO", effect: 0 }],
    remove: [{ code: "EIO", effect: 0 }],
    indexApply: [
      { code: "EIO", effect: 0 },
      { code: "EIO", effect: 1 },
    ],
    indexOpen: [{ code: "EIO", effect: 0 }],
  };

const noOpening: Failure = { at: 2, times: "forever", kind: "indexOpen", code: "EIO", effect: 0 };
const noCreating = {
  times: "forever",
  kind: "create",
  code: "EIO",
  effect: 0,
  byNumber: true,
} as const;

/** How long a failure that stays is there, in ms of the clock: shorter and longer than the index is waited for. */
const failureMs = [400, 5_000, "never"] as const;
/** The store looks once a second whether it can write again, and waits a second for its index. */
const healingMsMax = 5_000;

export type FaultCase = {
  readonly failure: Failure;
  /** For a failure that stays: when it ends; "never": the process ends while it lasts. */
  readonly healsAfterMs: number | "never";
  readonly end: "kill" | "powerCut";
  /** Failures that keep the store from curing the first one at once. */
  readonly also: readonly Failure[];
};

export type FaultRunOptions = {
  readonly steps: readonly Step[];
  readonly marks: Marks;
  readonly planted?: Planted | null;
  readonly seed: number;
};

/** Calls of a run without failures, from the first start on: each of them is made to fail in its turn. */
export async function countCalls(options: FaultRunOptions): Promise<readonly CallKind[]> {
  const sim = makeSim(options);
  await sim.ready();
  await new ScriptedClients(sim, new Model()).run(options.steps);
  return sim.calls.trace.map(({ kind }) => kind);
}

/** All cases for one call of the run. */
export function casesOf(kind: CallKind, at: number): FaultCase[] {
  const cases: FaultCase[] = [];
  for (const way of waysToFail[kind] ?? []) {
    for (const end of ["kill", "powerCut"] as const) {
      cases.push({ failure: { at, times: "once", ...way }, healsAfterMs: 0, end, also: [] });
      for (const healsAfterMs of failureMs) {
        const failure: Failure = { at, times: "forever", ...way };
        cases.push({ failure, healsAfterMs, end, also: [] });
        if (kind !== "indexApply") continue;
        const once: Failure = { ...failure, times: "once" };
        // The index cannot be opened again either: the group must be voided.
        cases.push({ failure: once, healsAfterMs, end, also: [noOpening] });
        // And not even that: no new segment can be made, so nobody may be told how it ended.
        const also: Failure[] = [noOpening, { ...noCreating, at: at + 1 }];
        cases.push({ failure: once, healsAfterMs, end, also });
      }
    }
  }
  return cases;
}

/** Runs the script with one failure, heals, asks for life, ends the process and judges what is left. */
export async function runFault(options: FaultRunOptions, fault: FaultCase): Promise<string[]> {
  const { marks } = options;
  const sim = makeSim(options);
  sim.calls.fail(fault.failure);
  for (const failure of fault.also) sim.calls.fail(failure);
  const model = new Model();
  const started = await startDespite(sim);
  if (!started) {
    markLife(marks, sim);
    reach(marks, "start failed");
    return judgeEnd(options, sim, model, fault);
  }
  healLater(sim, fault);
  const clients = new ScriptedClients(sim, model);
  await clients.run(options.steps);
  await clients.judgeReads();
  if (fault.healsAfterMs !== "never") {
    sim.calls.heal();
    clients.breaches.push(...(await judgeLiveness(sim, clients, model)));
    await clients.judgeReads();
  }
  const breaches = [...clients.breaches, ...judgeTrace(sim)];
  markLife(marks, sim);
  if (sim.calls.failed.length > 0) reach(marks, `failed ${sim.calls.failed[0]?.kind}`);
  return [...breaches, ...(await judgeEnd(options, sim, model, fault))];
}

function makeSim({ seed, planted = null }: FaultRunOptions): SimStore {
  const settings = { random: seededRandom(seed), clock: new SimClock(), blockBytes: 512, planted };
  return new SimStore({ ...settings, segmentBytesMax: 9 * KiB });
}

async function startDespite(sim: SimStore): Promise<boolean> {
  try {
    return await sim.ready();
  } catch {
    return false;
  }
}

/** A failure that stays ends some time after it began. */
function healLater(sim: SimStore, fault: FaultCase): void {
  const { healsAfterMs } = fault;
  if (healsAfterMs === 0 || healsAfterMs === "never") return;
  const watch = sim.clock.every(50, () => {
    if (sim.calls.failed.length === 0) return;
    watch.cancel();
    sim.clock.after(healsAfterMs, () => sim.calls.heal());
  });
}

/** With the failure gone a put is stored and read back within the healing time. */
async function judgeLiveness(
  sim: SimStore,
  clients: ScriptedClients,
  model: Model,
): Promise<string[]> {
  const isServing = await sim.until(() => sim.store.state().at === "serving", healingMsMax);
  if (!isServing)
    return [`not serving ${healingMsMax} ms after the failure: ${sim.store.state().at}`];
  const before = model.acknowledgedCount;
  await clients.run([{ at: "put", scope: "a/one", key: "alive", rule: "lastWins", sizeBytes: 64 }]);
  if (model.acknowledgedCount > before) return [];
  return ["a put was not stored after the failure had gone"];
}

/** Ends the process, opens what is left, and once more after a power cut: what was found then must stay. */
async function judgeEnd(
  options: FaultRunOptions,
  sim: SimStore,
  model: Model,
  fault: FaultCase,
): Promise<string[]> {
  model.cut();
  const random = seededRandom(options.seed + fault.failure.at);
  let remains = endOf(sim, fault.end, random);
  for (const end of ["powerCut", "powerCut"] as const) {
    const next = new SimStore({ random, clock: sim.clock, segmentBytesMax: 9 * KiB }, remains);
    const breaches = await judgeStart(next, model);
    markLife(options.marks, next);
    if (breaches.length > 0) return breaches.map((each) => `after ${fault.end}: ${each}`);
    remains = endOf(next, end, random);
    // The last start rebuilds, and must find the same.
    if (options.seed % 2 === 0) remains.home.setAside();
  }
  return [];
}

function endOf(
  sim: SimStore,
  end: FaultCase["end"],
  random: ReturnType<typeof seededRandom>,
): Remains {
  if (end === "kill") return sim.kill();
  return sim.powerCut(randomSurvival(random, 512), random.below(sim.home.unflushedCount + 1));
}

export type SweepReport = { calls: number; runs: number; breaches: string[] };

const breachesMax = 20;

/** Fails every `stride`-th call of the script in every way. */
export async function sweepFaults(
  options: FaultRunOptions,
  { stride, from }: { stride: number; from: number },
): Promise<SweepReport> {
  const kinds = await countCalls(options);
  const report: SweepReport = { calls: kinds.length, runs: 0, breaches: [] };
  let countdown = from;
  for (let i = 0; i < kinds.length; i++) {
    const cases = casesOf(kinds[i] ?? "read", i + 1);
    if (cases.length === 0 || countdown-- > 0) continue;
    countdown = stride - 1;
    for (const fault of cases) {
      report.runs += 1;
      for (const breach of await runFault(options, fault)) {
        report.breaches.push(`call ${i + 1} (${kinds[i]}) ${JSON.stringify(fault)}: ${breach}`);
      }
      if (report.breaches.length >= breachesMax) return report;
    }
  }
  return report;
}
