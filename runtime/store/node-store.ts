import { asFault, Fault } from "../base/fault.ts";
import { findRow, isLive, placeNow } from "./catalog-view.ts";
import { Checkpoints } from "./checkpoints.ts";
import type { Broken } from "./commit.ts";
import { Contents } from "./contents.ts";
import { DamageLedger } from "./damage.ts";
import { Eviction } from "./eviction.ts";
import { StoreFiles, storeFolders } from "./files.ts";
import { heal } from "./heal.ts";
import type { ArtifactName } from "./identity.ts";
import { closeQuietly, type Index } from "./index.ts";
import { MaintenanceSeat } from "./maintenance-seat.ts";
import { ManifestCache } from "./manifest-cache.ts";
import { usualUploadLimits } from "./multipart.ts";
import { NodeUploads } from "./multipart-uploads.ts";
import type { StoreOptions, StoreSeams } from "./open.ts";
import { reopenIndex } from "./repair-index.ts";
import {
  fillFilterWhenWanted,
  type Running,
  type RunningParts,
  releaseRunning,
} from "./running.ts";
import { Scrub } from "./scrub.ts";
import { Space } from "./space.ts";
import type { MissReason, NextToGo } from "./space-figures.ts";
import { dropStaged } from "./staged-files.ts";
import { Staging } from "./staging.ts";
import { startRunning } from "./start-running.ts";
import {
  type Attributes,
  type Body,
  type Change,
  type Manifest,
  manifestFlags,
  type Outcome,
  type SegmentFigures,
  type Stage,
  type Store,
  type StoreCondition,
  type StoreState,
  type StoreUsage,
} from "./store.ts";
import { describeUsage, notServing } from "./store-figures.ts";
import { tidyUp } from "./tidy-up.ts";
import { Upkeep } from "./upkeep.ts";

/** The store of one node: recovery, the committer, the reader, and what heals them. */
export class NodeStore implements Store {
  readonly #options: StoreOptions;
  readonly #seams: StoreSeams;
  readonly #files: StoreFiles;
  readonly #space: Space;
  readonly #cache: ManifestCache;
  readonly #staging: Staging;
  readonly #checkpoints: Checkpoints;
  readonly #damage: DamageLedger;
  readonly #eviction: Eviction;
  readonly #maintenance: MaintenanceSeat;
  readonly #upkeep: Upkeep;
  readonly uploads: NodeUploads;
  readonly contents: Contents;
  readonly scrub: Scrub;
  #running: Running | null = null;
  /** The index while a recovery works on it. */
  #opening: Index | null = null;
  #recovering: Promise<void> | null = null;
  #state: StoreState = { at: "recovering", doneBytes: 0, totalBytes: 0 };
  #countsBefore = { groups: 0, changes: 0 };
  #firstOwnFile = 0;
  #knownEnds: ReadonlyMap<number, number> = new Map();
  /** Settles when the first recovery has ended; rejects when the directory cannot be opened at all. */
  readonly ready: Promise<void>;

  constructor(options: StoreOptions, seams: StoreSeams) {
    const { disk, clock, segmentBytesMax: segmentBytes } = seams;
    const { dataDir, capacityBytes } = options;
    const files = new StoreFiles(disk, dataDir, options.unsyncedBytesMax);
    [this.#options, this.#seams, this.#files] = [options, seams, files];
    for (const folder of storeFolders) disk.makeFolder(`${dataDir}/${folder}`);
    this.#space = new Space({ disk, clock, dataDir, files, capacityBytes, segmentBytes });
    this.#cache = new ManifestCache(options.manifestCacheBytesMax);
    this.#maintenance = new MaintenanceSeat({ ...seams, note: options.note });
    this.contents = new Contents({ clock, files, maintenance: () => this.#maintenance.now });
    this.#damage = new DamageLedger({ ...options, home: seams.home });
    this.#upkeep = new Upkeep({
      ...seams,
      ...options,
      space: this.#space,
      parts: () => ({ running: this.#running, maintenance: this.#maintenance.now }),
      state: () => this.#state,
    });
    const { stalls } = this.#upkeep;
    this.#staging = new Staging({ ...options, disk, files, space: this.#space, stalls });
    this.#checkpoints = new Checkpoints({
      clock,
      walBytesMax: options.walBytesMax,
      walBytes: () => this.#running?.view.index.walBytes() ?? 0,
      checkpoint: () => this.#maintenance.now?.checkpoint() ?? Promise.resolve(),
      onFailure: (reason) => this.#damage.suspectIndex(reason),
    });
    this.#eviction = new Eviction({
      ...seams,
      ...options,
      files,
      space: this.#space,
      maintenance: () => this.#maintenance.now,
      checkpoint: () => this.#checkpoints.cover(),
      isServing: () => this.#state.at === "serving",
      trouble: (error) => this.#indexTrouble(error),
    });
    this.uploads = new NodeUploads({
      ...seams,
      ...options,
      space: this.#space,
      stalls: this.#upkeep.stalls,
      stages: this.#staging.stages,
      scratch: options.scratch?.parts ?? null,
      limits: options.uploadLimits ?? usualUploadLimits,
      rows: () => this.#needWritable().view.index.uploads,
      exists: (name) => this.find(name) !== null,
      trouble: (error) => this.#indexTrouble(error),
      afterWrite: () => this.#checkpoints.afterGroup(),
    });
    this.scrub = new Scrub({
      ...options,
      ...this.#parts(),
      damage: this.#damage,
      running: () => this.#running,
      maintenance: () => this.#maintenance.now,
    });
    this.ready = this.#start();
  }

  readonly state = (): StoreState => this.#state;

  find(name: ArtifactName): Manifest | null {
    const { view } = this.#need();
    try {
      const row = findRow(view, name.id);
      return row !== null && isLive(view, row, name) ? row : null;
    } catch (error) {
      throw this.#indexTrouble(error);
    }
  }

  open(manifest: Manifest, startBytes: number, endBytes: number): Body {
    const { view, reader } = this.#need();
    // A check that found damage has quarantined the artifact since this manifest was found.
    if (view.quarantine.holds(manifest.id, manifest.version)) return { at: "damaged" };
    const placed = placeNow(view, manifest);
    if (placed === null) return { at: "damaged" };
    this.#eviction.marks.mark(manifest.id);
    return reader.open(placed, startBytes, endBytes);
  }

  vouch(manifest: Manifest): void {
    this.#eviction.vouch(manifest);
  }

  whyMissing(name: ArtifactName): MissReason | null {
    return this.#eviction.whyMissing(this.#need().view, name);
  }

  nextToGo(limit: number): NextToGo[] {
    return this.#eviction.nextToGo(limit);
  }

  attributes(manifest: Manifest): Attributes | null {
    if ((manifest.flags & manifestFlags.hasAttributes) === 0) return {};
    const { view, reader } = this.#need();
    const placed = placeNow(view, manifest);
    return placed === null ? null : reader.attributes(placed);
  }

  stage(expectedBytes: number): Stage {
    return this.#staging.begin(this.#needWritable().storeId, expectedBytes);
  }

  commit(change: Change): Promise<Outcome> {
    if (this.#state.at === "serving") return this.#need().committer.commit(change);
    dropStaged(this.#files, change);
    return Promise.reject(notServing(this.#state));
  }

  usage(): StoreUsage {
    return describeUsage({
      running: this.#running,
      space: this.#space,
      files: this.#files,
      cache: this.#cache,
      countsBefore: this.#countsBefore,
      damagedBodies: this.#damage.damagedBodies,
      eviction: this.#eviction.figures(),
    });
  }

  condition(): StoreCondition {
    return this.#upkeep.condition(this.#damage.isIndexSuspect);
  }

  segments(): SegmentFigures[] {
    return this.#files.segmentFigures(this.#running?.journal.tail.file ?? 0);
  }

  async close(): Promise<void> {
    const running = this.#running;
    this.#state = { at: "closed" };
    this.uploads.close();
    this.scrub.close();
    this.#upkeep.end();
    await this.#eviction.close();
    if (running !== null) {
      await running.committer.close(new Fault("unavailable", "The store is closing"));
      await this.#checkpoints.settle();
    }
    // It ends at its next pause and closes the index as it is: the next start goes on from there.
    await this.#recovering?.catch(() => {});
    await this.#maintenance.close();
    if (running !== null) releaseRunning(running);
    this.#running = null;
  }

  /** For a process that exits without `close`: says that the index is whole, or the next start would make it anew. */
  endAtOnce(): void {
    this.#state = { at: "closed" };
    const index = this.#running?.view.index ?? this.#opening;
    if (index !== null) closeQuietly(index);
  }

  async #start(): Promise<void> {
    this.#upkeep.begin();
    const maintenance = this.#maintenance.begin();
    try {
      // The folders may be new: what is synced inside them is durable only once they are.
      await this.#seams.disk.syncFolderLater(this.#options.dataDir);
      await this.#upkeep.whenThereIsRoom(() => this.#recover(new Map()));
    } catch (error) {
      void maintenance.close();
      if (this.#isClosed()) return;
      throw error;
    }
    const own = this.#running;
    void tidyUp({
      maintenance,
      files: this.#files,
      firstOwnFile: this.#firstOwnFile,
      ballast: this.#upkeep.ballast,
      // What a row should name may only look unreferenced in an index that is not to be believed.
      mayRemove: () =>
        this.#state.at === "serving" && this.#running === own && !this.#damage.isIndexSuspect,
      note: this.#options.note,
    });
  }

  /** One recovery, from the files as they are, and a new segment to write to. */
  async #recover(knownEnds: ReadonlyMap<number, number>): Promise<void> {
    this.#recovering = this.#runRecovery(knownEnds).finally(() => {
      this.#recovering = null;
      this.#opening = null;
    });
    await this.#recovering;
  }

  async #runRecovery(knownEnds: ReadonlyMap<number, number>): Promise<void> {
    const running = await startRunning(this.#parts(), {
      ...this.#seams,
      ...this.#options,
      knownEnds,
      progress: (doneBytes, totalBytes) => {
        const { at } = this.#state;
        if (at === "recovering") this.#state = { at, doneBytes, totalBytes };
      },
      opened: (index) => {
        this.#opening = index;
      },
      pause: async () => {
        await this.#seams.nextTurn();
        if (this.#isClosed()) throw notServing(this.#state);
      },
      isWanted: () => this.#state.at !== "closed",
    });
    if (running !== null) this.#serve(running);
  }

  #serve(running: Running): void {
    this.#running = running;
    this.#damage.trustIndex();
    this.#checkpoints.reset();
    this.#firstOwnFile = running.journal.tail.file;
    this.#state = { at: "serving" };
    fillFilterWhenWanted(running, {
      ...this.#seams,
      ...this.#options,
      maintenance: () => this.#maintenance.now,
      isWanted: () => this.#running === running,
    });
    this.#eviction.start(running);
    void this.uploads.adopt();
  }

  #parts(): RunningParts {
    return {
      ...this.#options,
      ...this.#seams,
      files: this.#files,
      space: this.#space,
      cache: this.#cache,
      ...this.#upkeep.tools(),
      onDamage: (view, row, isIndexWrong) => this.#damage.noteBody(view, row, isIndexWrong),
      beforeGroup: () => this.#checkpoints.beforeGroup(),
      afterGroup: () => {
        this.#checkpoints.afterGroup();
        this.#eviction.afterGroup();
      },
      onGarbage: (replaced, hasClean) => this.#eviction.noteGarbage(replaced, hasClean),
      pointers: this.#eviction.pointers,
      leases: this.#eviction.leases,
      stop: (reason, broken, isFull) => this.#stopWriting(reason, broken, isFull),
    };
  }

  #need(): Running {
    if (this.#running === null || this.#state.at === "recovering") throw notServing(this.#state);
    return this.#running;
  }

  #needWritable(): Running {
    if (this.#state.at !== "serving") throw notServing(this.#state);
    this.#upkeep.stalls.throwIfStalled();
    return this.#need();
  }

  /** The committer stopped: reads go on, and the store tries to write again until it can. */
  #stopWriting(reason: string, broken: Broken, isFull = false): void {
    if (broken === "corruptIndex") this.#damage.suspectIndex(reason);
    if (this.#state.at !== "serving") return;
    this.#state = { at: "readOnly", reason, isFull };
    this.#options.note("read-only", { reason, broken });
    void heal(broken, {
      ...this.#parts(),
      isWanted: () => !this.#isClosed() && this.#state.at !== "serving",
      resume: (kind) => this.#resume(kind),
      recoverAgain: () => this.#recoverAgain(),
      suspectIndex: (text) => this.#damage.suspectIndex(text),
    });
  }

  /** What can be read is what was published: the index must take rows again, and a new segment void the failed group. */
  async #resume(broken: Broken): Promise<void> {
    const { journal, committer, view } = this.#need();
    await committer.settled();
    if (broken === "index") reopenIndex(view, this.#seams.home, committer.head);
    await journal.startSuccessor();
    if (this.#isClosed()) return;
    committer.resume();
    this.#state = { at: "serving" };
  }

  /** The index cannot be believed: it is made anew from the files, as at a start. */
  async #recoverAgain(): Promise<void> {
    const running = this.#running;
    await this.#eviction.stop();
    if (running !== null) {
      const { journal, committer } = running;
      await committer.close(notServing(this.#state));
      const { file, endBytes } = journal.tail;
      this.#knownEnds = new Map([...journal.burntEnds, [file, endBytes]]);
      this.#countsBefore.groups += committer.counts.groups;
      this.#countsBefore.changes += committer.counts.changes;
      await this.#checkpoints.settle();
      this.#running = null;
      releaseRunning(running);
    }
    await this.#maintenance.releaseIndex();
    if (this.#isClosed()) return;
    this.#state = { at: "recovering", doneBytes: 0, totalBytes: 0 };
    await this.#recover(this.#knownEnds);
  }

  #isClosed(): boolean {
    return this.#state.at === "closed";
  }

  /** A read met trouble in the index: a corrupt one is rebuilt, as at a start. */
  #indexTrouble(error: unknown): Fault {
    const fault = asFault(error);
    if (fault.code !== "damaged") return fault;
    this.#stopWriting(fault.message, "corruptIndex");
    const text = "The index is being rebuilt: try again in a moment";
    return new Fault("unavailable", text, { cause: fault });
  }
}
