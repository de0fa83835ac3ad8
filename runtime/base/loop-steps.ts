import { assert } from "./assert.ts";
import type { Clock } from "./clock.ts";

/** What a node does on its loop beside answering requests. */
export const loopStepNames = ["evict", "filter", "recount", "hints", "collect"] as const;

export type LoopStepName = (typeof loopStepNames)[number];

/** Counts since the start of the process. */
export type LoopStepFigures = {
  readonly count: number;
  readonly wallMs: number;
  readonly longestWallMs: number;
  /** The longest that the loop was held by a step: without what it waited for a core that others had. */
  readonly longestHeldMs: number;
  /** The most that a step worked: without what it waited for the disk, and without steps in which garbage was collected. */
  readonly longestCpuMs: number;
  /** Steps that held it for longer than a step may. */
  readonly longCount: number;
  /** Of those, steps in which JavaScriptCore collected garbage, which it does wherever something asks for memory. */
  readonly longCollectionCount: number;
  /** Of the others, steps that worked no longer than a step may: they waited, for the disk as a rule. */
  readonly longWaitCount: number;
};

/** Of the thread of the loop, so far: how long it has waited for a core, how long it has worked, and its heap now. */
export type ThreadTimes = {
  readonly waitedMs: () => number;
  readonly cpuMs: () => number;
  readonly heapBytes: () => number;
};

export const noThreadTimes: ThreadTimes = { waitedMs: () => 0, cpuMs: () => 0, heapBytes: () => 0 };

type Step = {
  readonly wallMs: number;
  readonly heldMs: number;
  readonly workedMs: number;
  readonly hasCollected: boolean;
};

type Counts = { -readonly [K in keyof LoopStepFigures]: number };

/** So long may one step keep the loop from turning. */
export const stepHeldMsMax = 10;

/** Keeps how long maintenance holds the loop, by what it was. */
export class LoopSteps {
  readonly #clock: Clock;
  readonly #thread: ThreadTimes;
  readonly #figures = new Map<LoopStepName, Counts>();

  constructor(clock: Clock, thread: ThreadTimes) {
    this.#clock = clock;
    this.#thread = thread;
    for (const name of loopStepNames) {
      this.#figures.set(name, {
        count: 0,
        wallMs: 0,
        longestWallMs: 0,
        longestHeldMs: 0,
        longestCpuMs: 0,
        longCount: 0,
        longCollectionCount: 0,
        longWaitCount: 0,
      });
    }
  }

  of(name: LoopStepName): LoopStepFigures {
    return this.#of(name);
  }

  #of(name: LoopStepName): Counts {
    const figures = this.#figures.get(name);
    assert(figures !== undefined, "every kind of step is counted");
    return figures;
  }

  /** `step` must not wait for anything. */
  run<T>(name: LoopStepName, step: () => T): T {
    const { waitedMs, cpuMs, heapBytes } = this.#thread;
    const heapBeforeBytes = heapBytes();
    const waitedBeforeMs = waitedMs();
    const startMs = this.#clock.monotonicMs();
    const startCpuMs = cpuMs();
    try {
      return step();
    } finally {
      const workedMs = cpuMs() - startCpuMs;
      const wallMs = this.#clock.monotonicMs() - startMs;
      const heldMs = wallMs - (waitedMs() - waitedBeforeMs);
      // Nothing but the collector makes it smaller; a step that is a collection is to blame for it.
      const hasCollected = name !== "collect" && heapBytes() < heapBeforeBytes;
      this.#count(this.#of(name), { wallMs, heldMs, workedMs, hasCollected });
    }
  }

  #count(figures: Counts, { wallMs, heldMs, workedMs, hasCollected }: Step): void {
    figures.count += 1;
    figures.wallMs += wallMs;
    figures.longestWallMs = Math.max(figures.longestWallMs, wallMs);
    figures.longestHeldMs = Math.max(figures.longestHeldMs, heldMs);
    if (!hasCollected) figures.longestCpuMs = Math.max(figures.longestCpuMs, workedMs);
    if (heldMs <= stepHeldMsMax) return;
    figures.longCount += 1;
    if (hasCollected) figures.longCollectionCount += 1;
    else if (workedMs > 0 && workedMs <= stepHeldMsMax) figures.longWaitCount += 1;
  }
}
