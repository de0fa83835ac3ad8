import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Fault } from "../base/fault.ts";
import { LoopSteps, noThreadTimes } from "../base/loop-steps.ts";
import { MiB } from "../base/units.ts";
import { type CatalogView, isLive, peekRow } from "./catalog-view.ts";
import { DeadFiles } from "./dead-files.ts";
import { type EvictionTarget, Evictor } from "./evictor.ts";
import { type FileUser, FileUsers } from "./file-users.ts";
import type { StoreFiles } from "./files.ts";
import { FilterRefresh } from "./filter-refresh.ts";
import { Garbage } from "./garbage.ts";
import { GarbageCensus } from "./garbage-census.ts";
import { Ghosts } from "./ghosts.ts";
import type { ArtifactName } from "./identity.ts";
import { KeepPolicy } from "./keep-policy.ts";
import { Leases } from "./leases.ts";
import type { Maintenance } from "./maintenance.ts";
import { newestBand } from "./newest-band.ts";
import type { StoreNote } from "./open.ts";
import { PointerAge } from "./pointer-age.ts";
import { ReadMarks } from "./read-marks.ts";
import type { Running } from "./running.ts";
import type { Space } from "./space.ts";
import type { MissReason, NextToGo, SpaceFigures } from "./space-figures.ts";
import { SpaceHints } from "./space-hints.ts";
import { type Manifest, manifestFlags } from "./store.ts";

const usualLeaseBytes = 16 * MiB;

export type EvictionOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly files: StoreFiles;
  readonly space: Space;
  readonly leaseBytesMax?: number;
  readonly fileUsers?: readonly FileUser[];
  readonly maintenance: () => Maintenance | null;
  readonly checkpoint: () => Promise<void>;
  readonly nextTurn: () => Promise<void>;
  readonly isServing: () => boolean;
  readonly trouble: (error: unknown) => Fault;
  readonly steps?: LoopSteps;
  readonly note: StoreNote;
};

/** Everything by which the store stays within its capacity: what is in use, what may go, and the going itself. */
export class Eviction {
  readonly #options: EvictionOptions;
  readonly leases: Leases;
  readonly marks: ReadMarks;
  readonly pointers: PointerAge;
  readonly #ghosts: Ghosts;
  readonly #garbage: Garbage;
  readonly #policy: KeepPolicy;
  readonly #users: FileUsers;
  readonly #dead: DeadFiles;
  readonly #evictor: Evictor;
  readonly #hints: SpaceHints;
  readonly #census: GarbageCensus;
  #isStarted = false;

  constructor(options: EvictionOptions) {
    this.#options = options;
    const { clock, files, space, leaseBytesMax = usualLeaseBytes } = options;
    const { capacityBytes } = space;
    const steps = options.steps ?? new LoopSteps(clock, noThreadTimes);
    const { leases, marks, ghosts } = {
      leases: new Leases({ clock, bytesMax: leaseBytesMax, capacityBytes }),
      marks: new ReadMarks(capacityBytes),
      ghosts: new Ghosts(clock),
    };
    this.leases = leases;
    this.marks = marks;
    this.#ghosts = ghosts;
    this.pointers = new PointerAge(clock, marks);
    this.#garbage = new Garbage(files, capacityBytes);
    this.#policy = new KeepPolicy({ clock, leases, marks, capacityBytes });
    this.#users = new FileUsers(options.fileUsers ?? []);
    this.#dead = new DeadFiles({ ...options, users: this.#users });
    this.#evictor = new Evictor({
      ...options,
      steps,
      policy: this.#policy,
      leases,
      marks,
      ghosts,
      garbage: this.#garbage,
      dead: this.#dead,
      filters: new FilterRefresh({ ...options, steps }),
    });
    this.#census = new GarbageCensus({ ...options, steps });
    this.#hints = new SpaceHints({ ...options, steps, marks, ghosts });
  }

  /** The store runs: with the first start what an earlier process knew is taken over. */
  start(running: Running): void {
    const { view, storeId, journal, committer } = running;
    const { disk, files, space } = this.#options;
    const target: EvictionTarget = {
      view,
      storeId,
      activeFile: () => journal.tail.file,
      commit: (change) => committer.commit(change),
    };
    this.#users.reader = running.reader;
    if (!this.#isStarted) {
      this.#isStarted = true;
      this.#hints.load();
      void this.#hints.run();
      const start = newestBand(disk, files, space.capacityBytes);
      this.#policy.startBand({ start, end: committer.version });
    }
    this.#evictor.attach(target);
  }

  /** The store stops, or is made anew. */
  async stop(): Promise<void> {
    await this.#evictor.detach();
    await this.#dead.clear();
    this.#garbage.clear();
  }

  async close(): Promise<void> {
    await this.#evictor.detach();
    await this.#dead.close();
    if (this.#isStarted) await this.#hints.close();
  }

  /** A client was told that it is here. */
  vouch(manifest: Manifest): void {
    this.leases.vouch(manifest);
    this.marks.mark(manifest.id);
  }

  /** A scope was cleaned: what its records leave is counted, and collected where it is much. */
  #noteClean(): void {
    const evictor = this.#evictor;
    this.#census.noteClean(
      this.#garbage,
      () => evictor.activeFile,
      () => evictor.wake(),
    );
  }

  afterGroup(): void {
    this.pointers.look();
  }

  noteGarbage(replaced: readonly Manifest[], hasClean: boolean): void {
    for (const row of replaced) {
      if ((row.flags & manifestFlags.large) === 0) this.#garbage.note(row);
      else this.#dead.add(row.file);
    }
    if (hasClean) this.#noteClean();
  }

  nextToGo(limit: number): NextToGo[] {
    return this.#evictor.nextToGo(limit);
  }

  whyMissing(view: CatalogView, name: ArtifactName): MissReason | null {
    const row = peekRow(view, name.id);
    if (row === null) return this.#ghosts.has(name.id) ? "evicted" : "never_written";
    if (isLive(view, row, name)) return null;
    if ((row.flags & manifestFlags.deleted) !== 0) return "cleaned";
    if (row.version <= view.tombstones.versionOf(name.scope.hashKey)) return "cleaned";
    return view.quarantine.holds(row.id, row.version) ? "corrupt" : "evicted";
  }

  figures(): SpaceFigures {
    const { evicted, evictedBytes, copied, copiedBytes } = this.#evictor.counts;
    const { space, files } = this.#options;
    return {
      evictedCount: evicted,
      evictedBytes,
      movedCount: copied,
      movedBytes: copiedBytes,
      leaseCount: this.leases.count,
      leasedBytes: this.leases.leasedBytes,
      leasesShortened: this.leases.shortened,
      ghostCount: this.#ghosts.count,
      deadBytes: files.deadBytes,
      writesWaiting: space.waiting,
      spaceWaits: space.waits,
    };
  }
}
