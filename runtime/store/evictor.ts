import { type Clock, sleep } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Fault } from "../base/fault.ts";
import type { LoopSteps } from "../base/loop-steps.ts";
import { minute, second } from "../base/units.ts";
import { type CatalogView, peekRow } from "./catalog-view.ts";
import type { CopyChange } from "./copy-change.ts";
import { CopyRoom } from "./copy-room.ts";
import type { DeadFiles } from "./dead-files.ts";
import { type DrainCounts, drainSegment } from "./drain-segment.ts";
import type { FilterRefresh } from "./filter-refresh.ts";
import { filePageBytes } from "./format.ts";
import type { Garbage } from "./garbage.ts";
import type { Ghosts } from "./ghosts.ts";
import type { KeepCandidate, KeepPolicy } from "./keep-policy.ts";
import { readLargeHeader } from "./large-file.ts";
import type { Leases } from "./leases.ts";
import type { Maintenance } from "./maintenance.ts";
import type { StoreNote } from "./open.ts";
import type { ReadMarks } from "./read-marks.ts";
import type { Space } from "./space.ts";
import type { NextToGo } from "./space-figures.ts";
import type { Manifest, Outcome } from "./store.ts";

/** After a drain that failed: the store heals itself, or the disk gets room. */
const retryMs = 1 * second;
/** What is to be written again waits so long for the room of files that have gone before. */
const copyWaitMs = 10 * second;
/** After all was looked at and stayed: everything is looked at again no sooner, and each time in vain twice as late. */
const restMs = { first: 30 * second, most: 16 * minute };

/** Of the capacity: so much that is new ends the rest. */
const restNewShare = 1 / 16;

/** Leases may keep half of the capacity by the count of their bodies; with heads and what was replaced it is more. */
const keptShareMax = 0.65;

/** Of the capacity, as much has to go before marks of reads grow old. */
const marksShare = 0.5;

/** What exists only while the store runs. */
export type EvictionTarget = {
  readonly view: CatalogView;
  readonly storeId: Uint8Array;
  readonly activeFile: () => number;
  readonly commit: (change: CopyChange) => Promise<Outcome>;
};

export type EvictorOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly space: Space;
  readonly policy: KeepPolicy;
  readonly leases: Leases;
  readonly marks: ReadMarks;
  readonly ghosts: Ghosts;
  readonly garbage: Garbage;
  readonly dead: DeadFiles;
  readonly filters: FilterRefresh;
  readonly maintenance: () => Maintenance | null;
  readonly nextTurn: () => Promise<void>;
  /** False while the store takes no writes: nothing is moved or taken away then. */
  readonly isServing: () => boolean;
  /** What an error of the index comes to; see `NodeStore`. */
  readonly trouble: (error: unknown) => Fault;
  readonly steps: LoopSteps;
  readonly note: StoreNote;
};

/** Makes room: drains the oldest files, one after the other, for as long as more is used than may be. */
export class Evictor {
  readonly #options: EvictorOptions;
  readonly #copyRoom = new CopyRoom();
  readonly counts: DrainCounts = { evicted: 0, evictedBytes: 0, copied: 0, copiedBytes: 0 };
  #target: EvictionTarget | null = null;
  #running: Promise<void> | null = null;
  #freedSinceTurnBytes = 0;
  /** Bytes that were looked at and stayed since something went: when it is all there is, nothing can go. */
  #keptBytes = 0;
  #restMs = restMs.first;
  #restEndMs = 0;
  /** What the files that may go had when the rest began. */
  #liveBytesAtRest = 0;
  /** The file that could not be emptied the last time. */
  #leftFile = 0;

  constructor(options: EvictorOptions) {
    this.#options = options;
    options.space.onShort = () => this.wake();
    options.space.isStuck = () => this.#isResting && this.#isAllStill;
  }

  /** The segment that is written to; 0 while there is none. */
  get activeFile(): number {
    return this.#target?.activeFile() ?? 0;
  }

  attach(target: EvictionTarget): void {
    this.#target = target;
    this.wake();
  }

  /** Ends what is under way, at its next pause. */
  async detach(): Promise<void> {
    this.#target = null;
    await this.#running;
  }

  wake(): void {
    if (this.#running !== null || this.#target === null || !this.#hasWork(this.#target)) return;
    this.#running = this.#run().finally(() => {
      this.#running = null;
    });
  }

  /** Files in the order in which they would go. */
  nextToGo(limit: number): NextToGo[] {
    const target = this.#target;
    if (target === null) return [];
    const { files } = target.view;
    const { garbage } = this.#options;
    const segments = files.segmentNumbers().filter((file) => {
      return file !== target.activeFile() && !files.isDead(file);
    });
    const all = [...segments.slice(0, limit), ...files.largeByAge()];
    const aged = all.map((file) => ({ file, age: files.ageOf(file) }));
    aged.sort((left, right) => left.age - right.age);
    return aged.slice(0, limit).map(({ file }) => ({
      file,
      isLarge: files.isLarge(file),
      sizeBytes: files.sizeOf(file),
      garbageBytes: garbage.bytesOf(file),
    }));
  }

  #hasWork(target: EvictionTarget): boolean {
    const { space, garbage } = this.#options;
    if (!this.#options.isServing() || this.#isResting) return false;
    return space.excessBytes > 0 || garbage.mostlyDead(target.activeFile()) !== null;
  }

  /** Until some time has passed, or there is something new to look at. */
  get #isResting(): boolean {
    if (this.#options.clock.monotonicMs() >= this.#restEndMs) return false;
    // What went meanwhile, with a clean say, makes room for what is new.
    this.#liveBytesAtRest = Math.min(this.#liveBytesAtRest, this.#liveBytes);
    const newBytes = this.#liveBytes - this.#liveBytesAtRest;
    return newBytes < this.#options.space.capacityBytes * restNewShare;
  }

  /** Nothing is about to be unlinked, nor to become a file that may go, or to be given back. */
  get #isAllStill(): boolean {
    const { dead, space } = this.#options;
    const wholeCount = this.#target?.view.files.wholeCount ?? 0;
    return dead.count === 0 && space.reservedBytes === 0 && wholeCount === 0;
  }

  get #liveBytes(): number {
    return this.#target?.view.files.liveBytes ?? 0;
  }

  /** All that there is has been looked at, and nothing of it may go. */
  #rest(): void {
    this.#restEndMs = this.#options.clock.monotonicMs() + this.#restMs;
    this.#restMs = Math.min(restMs.most, this.#restMs * 2);
    this.#liveBytesAtRest = this.#liveBytes;
    this.#keptBytes = 0;
    if (this.#isAllStill) this.#options.space.giveUp();
  }

  async #run(): Promise<void> {
    // One turn later: whoever wrote has his answer first.
    await this.#options.nextTurn();
    while (this.#target !== null && this.#hasWork(this.#target)) {
      try {
        if (!(await this.#makeRoom(this.#target))) return;
      } catch (error) {
        // A corrupt index stops the store, which makes it anew.
        this.#options.note("making room failed", { reason: this.#options.trouble(error).message });
        await sleep(this.#options.clock, retryMs);
      }
    }
  }

  /** Empties one file; false when there is nothing to do until something changes. */
  async #makeRoom(target: EvictionTarget): Promise<boolean> {
    const { files } = target.view;
    const { space, garbage, policy } = this.#options;
    const mostlyDead = garbage.mostlyDead(target.activeFile());
    if (mostlyDead !== null) return await this.#drain(target, mostlyDead, true);
    if (space.excessBytes <= 0) return false;
    const segment = files.oldestSegment(target.activeFile());
    const large = firstOf(files.largeByAge());
    const isAllKept = this.#keptBytes > this.#liveBytes;
    if (isAllKept && policy.spendAll()) {
      this.#keptBytes = 0;
      return true;
    }
    // Leases are by key: what was replaced by something larger holds more than was counted.
    policy.isForced = isAllKept && this.#keptBytes > space.capacityBytes * keptShareMax;
    const isInVain = isAllKept && !policy.isForced;
    if ((segment === null && large === null) || isInVain) {
      // What goes soon may be enough.
      if (isInVain || this.#isAllStill) this.#rest();
      return false;
    }
    if (large !== null && (segment === null || files.ageOf(large) < segment)) {
      this.#options.steps.run("evict", () => this.#takeLarge(target, large));
      await this.#options.nextTurn();
      return true;
    }
    return segment === null || (await this.#drain(target, segment, false));
  }

  async #drain(target: EvictionTarget, file: number, keepsAll: boolean): Promise<boolean> {
    const { disk, clock, maintenance, nextTurn, steps, policy, dead, garbage } = this.#options;
    const { files } = target.view;
    const worker = maintenance();
    if (worker === null) return false;
    const copiedBefore = this.counts.copiedBytes;
    policy.isForced ||= this.#leftFile === file;
    const end = await drainSegment(
      {
        ...target,
        disk,
        clock,
        nextTurn,
        steps,
        copyRoom: this.#copyRoom,
        maintenance: worker,
        mayGoOn: () => this.#target === target && this.#options.isServing(),
        roomToCopy: (bytes) => this.#roomToCopy(target, bytes),
        onEvicted: (record) => this.#noteEvicted(target, record),
      },
      file,
      { policy, keepsAll, counts: this.counts },
    );
    policy.isForced = false;
    this.#leftFile = end === "left" && !keepsAll ? file : 0;
    // One that cannot be collected has its turn by age: the oldest must not wait for it.
    if (end === "spoilt" || (end === "left" && keepsAll)) garbage.drop(file);
    if (end !== "empty") {
      if (end === "left" && this.#target === target) await sleep(clock, retryMs);
      return this.#target === target;
    }
    const copiedBytes = this.counts.copiedBytes - copiedBefore;
    this.#noteFreed(files.sizeOf(file) - copiedBytes, copiedBytes);
    garbage.drop(file);
    dead.add(file);
    return true;
  }

  /** Copies must not fill the disk faster than what they leave is unlinked. */
  async #roomToCopy(target: EvictionTarget, bytes: number): Promise<boolean> {
    const { space, clock } = this.#options;
    if (space.hasRoomToCopy(bytes)) return true;
    const endMs = clock.monotonicMs() + copyWaitMs;
    space.isHurried = true;
    try {
      while (!space.hasRoomToCopy(bytes)) {
        if (this.#target !== target || clock.monotonicMs() >= endMs) return false;
        await space.changed(retryMs);
      }
      return true;
    } finally {
      space.isHurried = false;
    }
  }

  /** A large file stays where it is: only its age changes. */
  #takeLarge(target: EvictionTarget, file: number): void {
    const { view } = target;
    const { dead, policy, disk } = this.#options;
    const sizeBytes = view.files.sizeOf(file);
    const row = rowOfLarge(view, disk, file);
    if (row !== null) {
      const verdict = policy.judge(row, sizeBytes);
      if (verdict !== "gone") {
        policy.noteKept(verdict, sizeBytes);
        view.files.touchLarge(file);
        this.#keptBytes += sizeBytes;
        return;
      }
      const [isEvicted] = view.index.evict(file, [row]);
      view.cache.drop(row.id);
      if (isEvicted === true) {
        this.counts.evicted += 1;
        this.counts.evictedBytes += row.sizeBytes;
        this.#noteEvicted(target, row);
      }
    }
    this.#noteFreed(sizeBytes, 0);
    dead.add(file);
  }

  #noteEvicted(target: EvictionTarget, record: KeepCandidate): void {
    const { leases, ghosts, filters } = this.#options;
    filters.noteEvicted(target.view, () => this.#target === target);
    if (leases.holds(record.id)) leases.shorten(record);
    ghosts.add(record.id);
  }

  #noteFreed(freedBytes: number, keptBytes: number): void {
    const { policy, marks, space } = this.#options;
    const bytes = Math.max(0, freedBytes - filePageBytes);
    if (bytes > keptBytes / 64) {
      this.#keptBytes = 0;
      this.#restMs = restMs.first;
    } else this.#keptBytes += keptBytes;
    policy.noteFreed(bytes);
    this.#freedSinceTurnBytes += bytes;
    if (this.#freedSinceTurnBytes < space.capacityBytes * marksShare) return;
    this.#freedSinceTurnBytes = 0;
    marks.turn();
  }
}

/** The row that names a large file; null when none does. */
function rowOfLarge(view: CatalogView, disk: Disk, file: number): Manifest | null {
  const handle = disk.open(view.files.largePath(file), "read");
  if (handle === null) return null;
  try {
    const header = readLargeHeader(handle);
    const row = header === null ? null : peekRow(view, header.id);
    return row !== null && row.file === file ? row : null;
  } finally {
    handle.close();
  }
}

function firstOf(values: Iterable<number>): number | null {
  for (const value of values) return value;
  return null;
}
