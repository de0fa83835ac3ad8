import path from "node:path";
import { second } from "../../runtime/base/units.ts";
import type { NodeProcess } from "./node-process.ts";
import type { NodeSample } from "./node-sample.ts";

/** One look at a node; `atMs` counts from the start of the watch. */
export type TimedSample = NodeSample & { readonly atMs: number; readonly tookMs: number };

/** Looks at a node from a process of its own, so that neither load nor node keeps it from looking. */
export type NodeWatch = AsyncDisposable & {
  /** All looks so far, oldest first. */
  readonly samples: readonly TimedSample[];
  /** A look made now. */
  now(): Promise<TimedSample>;
};

export type WatchOptions = {
  readonly node: Pick<NodeProcess, "pid" | "dataDir">;
  readonly periodMs: number;
};

/** What the child is started with. */
export type WatchOrder = {
  readonly pid: number;
  readonly dataDir: string;
  readonly periodMs: number;
};

const answerMsMax = 30 * second;

export async function watchNode({ node, periodMs }: WatchOptions): Promise<NodeWatch> {
  const order: WatchOrder = { pid: node.pid, dataDir: node.dataDir, periodMs };
  const samples: TimedSample[] = [];
  let waiting: ((sample: TimedSample) => void)[] = [];
  const child = Bun.spawn(
    [process.execPath, path.join(import.meta.dir, "node-watch-child.ts"), JSON.stringify(order)],
    {
      stdio: ["ignore", "inherit", "inherit"],
      ipc(message: TimedSample & { isAsked: boolean }) {
        samples.push(message);
        if (!message.isAsked) return;
        for (const resolve of waiting) resolve(message);
        waiting = [];
      },
    },
  );
  const now = (): Promise<TimedSample> => {
    const { promise, resolve, reject } = Promise.withResolvers<TimedSample>();
    const timer = setTimeout(() => reject(new Error("The watch does not answer")), answerMsMax);
    waiting.push((sample) => {
      clearTimeout(timer);
      resolve(sample);
    });
    child.send("now");
    return promise;
  };
  await now();
  return {
    samples,
    now,
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
    },
  };
}

/** A look that took longer may have counted a file that went and another that came meanwhile. */
const quickMsMax = 10;

/** The largest value over samples that are of one moment; 0 of none. */
export function mostOf(
  samples: readonly TimedSample[],
  of: (sample: TimedSample) => number,
): number {
  const quick = quickSamples(samples);
  return quick.reduce((most, sample) => Math.max(most, of(sample)), 0);
}

export function quickSamples(samples: readonly TimedSample[]): TimedSample[] {
  return samples.filter(({ tookMs }) => tookMs <= quickMsMax);
}
