import { type Clock, sleep } from "../base/clock.ts";
import { asFault } from "../base/fault.ts";
import { second } from "../base/units.ts";
import type { FileUsers } from "./file-users.ts";
import type { StoreFiles } from "./files.ts";
import type { Maintenance } from "./maintenance.ts";
import type { StoreNote } from "./open.ts";
import type { Space } from "./space.ts";

/** Whoever looked a place up may still open it for so long: in calm, and when room is short. */
const calmMs = 10 * second;
const shortMs = 2 * second;
/** How often is looked whether a file may go. */
const lookMs = 100;

export type DeadFilesOptions = {
  readonly clock: Clock;
  readonly files: StoreFiles;
  readonly space: Space;
  readonly users: FileUsers;
  readonly maintenance: () => Pick<Maintenance, "removeFile"> | null;
  /** A whole checkpoint that begins after the call: a power cut must not bring back rows that name a file that is gone. */
  readonly checkpoint: () => Promise<void>;
  readonly note: StoreNote;
};

/** A file that waits for its end. */
type DeadFile = {
  readonly file: number;
  readonly path: string;
  readonly sinceMs: number;
  /** How many died before it, and itself. */
  readonly number: number;
  /** Its name is gone; what is left is kept by who reads from it. */
  isUnlinked: boolean;
  hasFailed: boolean;
};

/**
 * Files that no row names any more. They are unlinked, the oldest first, after a checkpoint that covers the end of their
 * last row, and a while later when nobody is in need of their room. Whoever has one open reads on; until he is done its
 * bytes count. The order matters: a newer value must not be gone from the disk while an older one is there, which an
 * index that is made anew would find.
 */
export class DeadFiles {
  readonly #options: DeadFilesOptions;
  readonly #dead = new Map<number, DeadFile>();
  /** Files that died so far, and those of them that a checkpoint covers. */
  #number = 0;
  #coveredNumber = 0;
  #running: Promise<void> | null = null;
  #unlinking: Promise<unknown> | null = null;
  /** Ends the pause between two looks. */
  #endPause: () => void = () => {};
  #isWoken = false;
  #isClosed = false;

  constructor(options: DeadFilesOptions) {
    this.#options = options;
    options.space.pinnedBytes = () => this.#pinnedBytes();
    options.space.onWaiting = () => this.#wake();
  }

  get count(): number {
    return this.#dead.size;
  }

  add(file: number): void {
    const { files, clock } = this.#options;
    if (!files.holds(file) || files.isDead(file)) return;
    files.markDead(file);
    const path = files.anyPathOf(file);
    const sinceMs = clock.monotonicMs();
    this.#number += 1;
    const number = this.#number;
    this.#dead.set(file, { file, path, sinceMs, number, isUnlinked: false, hasFailed: false });
    if (this.#isAwaited) this.#wake();
    this.#running ??= this.#run();
  }

  /** The files are known no more: the store is being made anew from them. */
  async clear(): Promise<void> {
    this.#dead.clear();
    await this.#unlinking;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
    await this.#running;
  }

  /** Whether somebody cannot go on without the room. */
  get #isAwaited(): boolean {
    const { space } = this.#options;
    return space.waiting > 0 || space.isHurried;
  }

  #wake(): void {
    this.#isWoken = true;
    this.#endPause();
  }

  /** Until the next look, which who needs room does not wait for. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(lookMs, resolve);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** Of the dead bytes, those that do not come back soon. */
  #pinnedBytes(): number {
    const { files, users } = this.#options;
    let bytes = 0;
    for (const { file, path, hasFailed } of this.#dead.values()) {
      if (hasFailed || users.isChecked(file) || users.isUsed(path)) bytes += files.sizeOf(file);
    }
    return bytes;
  }

  async #run(): Promise<void> {
    while (this.#dead.size > 0 && !this.#isClosed) {
      this.#isWoken = false;
      if (this.#coveredNumber < this.#number) {
        const number = this.#number;
        await this.#options.checkpoint();
        this.#coveredNumber = number;
      }
      const end = await this.#endSome();
      // A disk that refuses is not asked again at once, whoever waits.
      if (end === "failed") await sleep(this.#options.clock, lookMs);
      else if (end === "none" && !this.#isWoken) await this.#pause();
    }
    this.#running = null;
  }

  /** "none": none went. */
  async #endSome(): Promise<"some" | "none" | "failed"> {
    const oldestFirst = [...this.#dead.values()].sort((left, right) => left.file - right.file);
    let isAnyGone = false;
    for (const dead of oldestFirst) {
      // Forgotten by `clear` meanwhile: an index that is made anew may name what is still there.
      if (this.#isClosed || this.#dead.get(dead.file) !== dead) break;
      if (!dead.isUnlinked) {
        if (dead.number > this.#coveredNumber || !this.#mayGo(dead)) break;
        this.#unlinking = this.#unlink(dead);
        await this.#unlinking;
        if (!dead.isUnlinked) return "failed";
      }
      isAnyGone = this.#forget(dead) || isAnyGone;
    }
    return isAnyGone ? "some" : "none";
  }

  #mayGo({ file, sinceMs }: DeadFile): boolean {
    const { clock, space, users } = this.#options;
    if (users.isChecked(file)) return false;
    if (this.#isAwaited) return true;
    return clock.monotonicMs() - sinceMs >= (space.isShort ? shortMs : calmMs);
  }

  /** Away from the loop: the file system may take long over a large one. */
  async #unlink(dead: DeadFile): Promise<void> {
    const { users, maintenance, note } = this.#options;
    users.drop(dead.file, dead.path);
    try {
      const worker = maintenance();
      if (worker === null) return;
      await worker.removeFile(dead.path);
      dead.isUnlinked = true;
    } catch (error) {
      if (!dead.hasFailed)
        note("file not removed", { path: dead.path, reason: asFault(error).message });
      dead.hasFailed = true;
    }
  }

  /** True when nobody has it open any more: its bytes are free now. */
  #forget(dead: DeadFile): boolean {
    const { files, users } = this.#options;
    const { file, path } = dead;
    if (this.#dead.get(file) !== dead) return false;
    // Again: it may have been opened while its name was being taken away.
    users.drop(file, path);
    if (users.isUsed(path)) return false;
    this.#dead.delete(file);
    files.forget(file);
    return true;
  }
}
