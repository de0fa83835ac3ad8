import type { Random } from "../../runtime/base/random.ts";
import type { NumberedBodies } from "./action-blobs.ts";
import type { ActionClient } from "./action-client.ts";
import type { NodeProcess } from "./node-process.ts";

/** What the actors of a soak share. */
export type SoakStage = {
  readonly node: NodeProcess;
  readonly random: Random;
  readonly bodies: NumberedBodies;
  readonly actions: ActionClient;
  readonly counts: SoakCounts;
  isOver(): boolean;
};

/** What happened, by names that say it. */
export class SoakCounts {
  readonly #counts = new Map<string, number>();

  add(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  describe(): string {
    return [...this.#counts]
      .sort()
      .map(([what, count]) => `${what} ${count}`)
      .join(", ");
  }
}

/** Between two of its requests: the node has work all the time, and nobody is kept waiting for long. */
const pauseMsMax = 20;

/** Does one thing over and over until the soak ends. @throws what the thing throws. */
export async function repeat(stage: SoakStage, act: () => Promise<void>): Promise<void> {
  while (!stage.isOver()) {
    await act();
    await Bun.sleep(stage.random.below(pauseMsMax));
  }
}
