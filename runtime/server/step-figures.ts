import {
  type LoopStepFigures,
  type LoopStepName,
  type LoopSteps,
  loopStepNames,
} from "../base/loop-steps.ts";
import { second } from "../base/units.ts";
import type { Metrics } from "../observe/metrics.ts";
import { readFigures } from "../observe/metrics-grid.ts";

/** How maintenance keeps its bound of 10 ms a step. */
export function addStepFigures(metrics: Metrics, steps: LoopSteps): void {
  const add = (
    name: string,
    help: string,
    { type, of }: { type: "counter" | "gauge"; of: (figures: LoopStepFigures) => number },
  ): void => {
    const read = (step: LoopStepName): number => of(steps.of(step));
    readFigures(metrics.registry, { name, help, type, label: "step", values: loopStepNames, read });
  };
  add("kura_loop_steps_total", "Steps of maintenance on the loop.", {
    type: "counter",
    of: ({ count }) => count,
  });
  add("kura_loop_step_seconds_total", "Time of all of them.", {
    type: "counter",
    of: ({ wallMs }) => wallMs / second,
  });
  add("kura_loop_long_steps_total", "Those that held the loop for more than 10 ms.", {
    type: "counter",
    of: ({ longCount }) => longCount,
  });
  add("kura_loop_long_step_waits_total", "Of the long ones, those that waited, for the disk.", {
    type: "counter",
    of: ({ longWaitCount }) => longWaitCount,
  });
  add(
    "kura_loop_long_step_collections_total",
    "Of the long ones, those in which the runtime collected garbage.",
    {
      type: "counter",
      of: ({ longCollectionCount }) => longCollectionCount,
    },
  );
  add("kura_loop_longest_step_seconds", "The longest, from its begin to its end.", {
    type: "gauge",
    of: ({ longestWallMs }) => longestWallMs / second,
  });
  add("kura_loop_longest_hold_seconds", "The longest, without what it waited for a core.", {
    type: "gauge",
    of: ({ longestHeldMs }) => longestHeldMs / second,
  });
  add(
    "kura_loop_longest_work_seconds",
    "The most that one worked: without waits for the disk and collections of garbage too.",
    {
      type: "gauge",
      of: ({ longestCpuMs }) => longestCpuMs / second,
    },
  );
}
