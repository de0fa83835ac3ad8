import { type Clock, sleep } from "../base/clock.ts";
import { asFault } from "../base/fault.ts";
import type { Broken } from "./commit.ts";
import type { StoreNote } from "./open.ts";

/** Pause between two attempts to write again after the store stopped. */
const healPauseMs = 1_000;

export type HealOptions = {
  readonly clock: Clock;
  readonly note: StoreNote;
  /** False when the store was closed, or serves again. */
  readonly isWanted: () => boolean;
  readonly resume: (broken: Broken) => Promise<void>;
  /** Makes the index anew from the files. */
  readonly recoverAgain: () => Promise<void>;
  readonly suspectIndex: (reason: string) => void;
};

/** Tries to write again until the store can, each time after a pause. */
export async function heal(broken: Broken, options: HealOptions): Promise<void> {
  const { clock, note, isWanted, resume, recoverAgain, suspectIndex } = options;
  let isCorrupt = broken === "corruptIndex";
  while (isWanted()) {
    await sleep(clock, healPauseMs);
    if (!isWanted()) return;
    try {
      await (isCorrupt ? recoverAgain() : resume(broken));
      note("writing again", {});
    } catch (error) {
      const fault = asFault(error);
      note("healing failed", { reason: fault.message });
      if (fault.code !== "damaged" || isCorrupt) continue;
      isCorrupt = true;
      suspectIndex(fault.message);
    }
  }
}
