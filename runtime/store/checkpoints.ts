import { type Clock, sleep } from "../base/clock.ts";
import { MiB } from "../base/units.ts";

/** A checkpoint begins once the write-ahead log has grown by this much. */
const checkpointAtBytes = 4 * MiB;
/** A group is held for a checkpoint at most this long. */
const holdMsMax = 50;

export type CheckpointOptions = {
  readonly clock: Clock;
  readonly walBytesMax: number;
  readonly walBytes: () => number;
  readonly checkpoint: () => Promise<void>;
  /** A failed sync in a checkpoint: the index may lack what SQLite believes to be there. */
  readonly onFailure: (reason: string) => void;
};

/**
 * When to checkpoint the index. A passive checkpoint never blocks commits, but the log of SQLite starts anew only
 * when one ends with no commit after it; so above its limit one group waits for a moment.
 */
export class Checkpoints {
  readonly #options: CheckpointOptions;
  #running: Promise<void> | null = null;
  #failed = false;
  #doneBytes = 0;

  constructor(options: CheckpointOptions) {
    this.#options = options;
  }

  async beforeGroup(): Promise<void> {
    const { walBytes, walBytesMax, clock } = this.#options;
    if (this.#failed || walBytes() < walBytesMax) return;
    // What the running one began with may be old by now: only one that starts here can end level with the log.
    await this.#running;
    await Promise.race([this.#start(), sleep(clock, holdMsMax)]);
  }

  afterGroup(): void {
    if (this.#failed || this.#running !== null) return;
    const bytes = this.#options.walBytes();
    if (bytes < this.#doneBytes) this.#doneBytes = 0;
    if (bytes >= checkpointAtBytes + this.#doneBytes) void this.#start();
  }

  async settle(): Promise<void> {
    await this.#running;
  }

  #start(): Promise<void> {
    if (this.#running !== null) return this.#running;
    this.#running = this.#run().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    try {
      await this.#options.checkpoint();
      this.#doneBytes = this.#options.walBytes();
    } catch (error) {
      this.#failed = true;
      this.#options.onFailure(`a checkpoint failed: ${String(error)}`);
    }
  }
}
