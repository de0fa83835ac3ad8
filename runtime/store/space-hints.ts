import { type Clock, sleep } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { asFault } from "../base/fault.ts";
import type { LoopSteps } from "../base/loop-steps.ts";
import { minute, second } from "../base/units.ts";
import type { Ghosts } from "./ghosts.ts";
import { readHint } from "./hint-file.ts";
import type { Maintenance } from "./maintenance.ts";
import type { StoreNote } from "./open.ts";
import type { ReadMarks } from "./read-marks.ts";

/** Marks that a kill may cost are no older than this; ghosts only explain misses. */
const marksEveryMs = 10 * second;
const ghostsEveryMs = 1 * minute;

export type HintOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly marks: ReadMarks;
  readonly ghosts: Ghosts;
  readonly maintenance: () => Maintenance | null;
  readonly steps: LoopSteps;
  readonly note: StoreNote;
};

/**
 * What the store knows of the use of its artifacts, kept beside them over restarts in `read-marks` and `ghosts`. None of
 * it is needed: a file that is damaged, old or gone costs hits later on, and nothing else.
 */
export class SpaceHints {
  readonly #options: HintOptions;
  #savedMarks = 0;
  #savedGhosts = 0;
  #isClosed = false;

  constructor(options: HintOptions) {
    this.#options = options;
  }

  load(): void {
    const { marks, ghosts, note } = this.#options;
    const found = this.#read("read-marks");
    if (found !== null && !marks.load(found)) note("hints not taken", { name: "read-marks" });
    const saved = this.#read("ghosts");
    if (saved !== null && !ghosts.load(saved)) note("hints not taken", { name: "ghosts" });
    this.#savedMarks = marks.revision;
    this.#savedGhosts = ghosts.revision;
  }

  /** Saves what has changed, now and then, until it is closed. */
  async run(): Promise<void> {
    const { clock } = this.#options;
    let ghostsMs = clock.monotonicMs();
    while (!this.#isClosed) {
      await sleep(clock, marksEveryMs);
      if (this.#isClosed) return;
      const isGhostTime = clock.monotonicMs() - ghostsMs >= ghostsEveryMs;
      if (isGhostTime) ghostsMs = clock.monotonicMs();
      await this.#save(isGhostTime);
    }
  }

  /** The last save. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#save(true);
  }

  async #save(withGhosts: boolean): Promise<void> {
    const { marks, ghosts, steps } = this.#options;
    if (marks.revision !== this.#savedMarks) {
      this.#savedMarks = marks.revision;
      await this.#write(
        "read-marks",
        steps.run("hints", () => marks.save()),
      );
    }
    if (withGhosts && ghosts.revision !== this.#savedGhosts) {
      this.#savedGhosts = ghosts.revision;
      await this.#write(
        "ghosts",
        steps.run("hints", () => ghosts.save()),
      );
    }
  }

  async #write(name: string, payload: Uint8Array<ArrayBuffer>): Promise<void> {
    const { dataDir, maintenance, note } = this.#options;
    try {
      await maintenance()?.writeHint(`${dataDir}/${name}`, payload);
    } catch (error) {
      note("hints not saved", { name, reason: asFault(error).message });
    }
  }

  #read(name: string): Uint8Array | null {
    const { disk, dataDir, note } = this.#options;
    try {
      return readHint(disk, `${dataDir}/${name}`);
    } catch (error) {
      note("hints not read", { name, reason: asFault(error).message });
      return null;
    }
  }
}
