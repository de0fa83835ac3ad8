import { edenGC } from "bun:jsc";
import type { Clock, Timer } from "../base/clock.ts";
import type { LoopSteps } from "../base/loop-steps.ts";
import { MiB, second } from "../base/units.ts";
import { RuntimeCollections } from "./runtime-collections.ts";

/** Resident memory may grow by this much before it is collected. */
const growthBytesMax = 16 * MiB;
const lookPeriodMs = 1 * second;
/** Looks between two collections when they free next to nothing: memory that comes and goes is no garbage. */
const pauseLooksMax = 64;

/**
 * Collects garbage when resident memory has grown. JavaScriptCore waits for 30 to 40 MiB of it, however slowly it gathers:
 * 500 uploads of 1 MiB in 30 s cost 57 to 83 MiB without this and 50 to 52 with it; a million artifacts read again and
 * again peaked at 138 in place of 146 MiB, with three collections of 17 to 23 ms in 700,000 requests (2026-11-22).
 */
export function watchGarbage(clock: Clock, seams: GarbageSeams): Timer {
  const { residentBytes, collect, hasCollected } = seams;
  let lowestBytes = residentBytes();
  let collectedAtBytes: number | null = null;
  let pauseLooks = 1;
  let looksSince = pauseLooksMax;
  return clock.every(lookPeriodMs, () => {
    const bytes = residentBytes();
    looksSince += 1;
    if (collectedAtBytes !== null) {
      const hasHelped = collectedAtBytes - bytes >= growthBytesMax / 2;
      pauseLooks = hasHelped ? 1 : Math.min(pauseLooksMax, pauseLooks * 2);
      collectedAtBytes = null;
    }
    const isGrown = bytes >= lowestBytes + growthBytesMax;
    // A runtime that collects by itself all the time has little left over, and a collection beside its own waits for that.
    const isBusy = hasCollected();
    if (isGrown && !isBusy && looksSince >= pauseLooks) {
      collect();
      looksSince = 0;
      collectedAtBytes = bytes;
    }
    // What a collection does not free is in use: only what comes on top of it counts from here on.
    if (collectedAtBytes !== null || bytes < lowestBytes) lowestBytes = bytes;
  });
}

export type GarbageSeams = {
  readonly residentBytes: () => number;
  readonly collect: () => void;
  /** Whether the runtime has collected by itself since the last look. */
  readonly hasCollected: () => boolean;
};

/** All of it, in the loop, for 20 to 70 ms: for when memory is short. `Bun.gc(false)` frees nothing (Bun 1.4.5). */
export function collectGarbage(): void {
  Bun.gc(true);
}

/**
 * What was made since the last collection, which is nearly all that bodies leave: 6 ms where everything took 45, with the
 * same peak of resident memory (277 MiB at 60 MiB/s into a full node, 2026-11-23).
 */
function collectYoung(): void {
  edenGC();
}

/** Of this process. */
export function ownGarbage(steps: LoopSteps): GarbageSeams {
  const collections = new RuntimeCollections();
  return {
    residentBytes: () => process.memoryUsage.rss(),
    collect: () => {
      steps.run("collect", collectYoung);
      collections.forget();
    },
    hasCollected: () => collections.take(),
  };
}
