import { type Clock, sleep } from "../base/clock.ts";
import { asFault } from "../base/fault.ts";

/**
 * A checkpoint begins once the write-ahead log has grown by this share of its limit. The more it gathers, the more
 * often one page takes several rows: at 4 MiB checkpoints cost 5 % of a put of 1 KiB, at 16 MiB half of that.
 */
const checkpointAtShare = 0.5;
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
  /** Checkpoints ended so far, and the count at which a group was held last. */
  #number = 0;
  #heldFor = -1;

  constructor(options: CheckpointOptions) {
    this.#options = options;
  }

  /** Above the limit one group waits, once for each checkpoint: a slow disk must not slow every group down. */
  async beforeGroup(): Promise<void> {
    const { walBytes, walBytesMax, clock } = this.#options;
    if (this.#failed || this.#heldFor === this.#number || walBytes() < walBytesMax) return;
    this.#heldFor = this.#number;
    await Promise.race([this.#endLevel(), sleep(clock, holdMsMax)]);
  }

  afterGroup(): void {
    if (this.#failed || this.#running !== null) return;
    const bytes = this.#options.walBytes();
    if (bytes < this.#doneBytes) this.#doneBytes = 0;
    if (bytes >= checkpointAtShare * this.#options.walBytesMax + this.#doneBytes)
      void this.#start();
  }

  /** Resolves when a checkpoint that began after this call has ended, in whatever way. */
  async cover(): Promise<void> {
    if (!this.#failed) await this.#endLevel();
  }

  /** A checkpoint that began before this call may end behind the log; one that begins now ends level with it. */
  async #endLevel(): Promise<void> {
    await this.#running;
    await this.#start();
  }

  /** Says that the index was made or opened anew. */
  reset(): void {
    this.#failed = false;
    this.#doneBytes = 0;
  }

  async settle(): Promise<void> {
    await this.#running;
  }

  #start(): Promise<void> {
    if (this.#running !== null) return this.#running;
    this.#running = this.#run().finally(() => {
      this.#number += 1;
      this.#running = null;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    try {
      await this.#options.checkpoint();
      this.#doneBytes = this.#options.walBytes();
    } catch (error) {
      const fault = asFault(error);
      // A full disk takes nothing away from what was synced: the next checkpoint tries again.
      if (fault.code === "full") return;
      this.#failed = true;
      this.#options.onFailure(`a checkpoint failed: ${fault.message}`);
    }
  }
}
