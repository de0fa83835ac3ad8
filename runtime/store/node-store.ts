import { sleep } from "../base/clock.ts";
import { asFault, Fault } from "../base/fault.ts";
import type { CatalogView } from "./catalog-view.ts";
import { findRow, isLive } from "./catalog-view.ts";
import { Checkpoints } from "./checkpoints.ts";
import { type Broken, dropStagedFile } from "./commit.ts";
import { DamageLedger } from "./damage.ts";
import { StoreFiles, storeFolders } from "./files.ts";
import type { ArtifactName } from "./identity.ts";
import { closeQuietly, type Index, type IndexBatch } from "./index.ts";
import type { Maintenance } from "./maintenance.ts";
import { ManifestCache } from "./manifest-cache.ts";
import { usualUploadLimits } from "./multipart.ts";
import { NodeUploads } from "./multipart-uploads.ts";
import type { StoreOptions, StoreSeams } from "./open.ts";
import { recover } from "./recover.ts";
import { reopenIndex, repairIndex } from "./repair-index.ts";
import {
  assemble,
  continueLog,
  fillFilterWhenWanted,
  type Running,
  type RunningParts,
  releaseRunning,
  startLog,
} from "./running.ts";
import { SharedSync } from "./shared-sync.ts";
import { Space } from "./space.ts";
import { LargeStage } from "./stage.ts";
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
  type StoreState,
  type StoreUsage,
} from "./store.ts";
import { describeUsage, notServing } from "./store-figures.ts";
import { tidyUp } from "./tidy-up.ts";

/** Pause between two attempts to write again after the store stopped. */
const healPauseMs = 1_000;

/** The store of one node: recovery, the committer, the reader, and what heals them. */
export class NodeStore implements Store {
  readonly #options: StoreOptions;
  readonly #seams: StoreSeams;
  readonly #files: StoreFiles;
  readonly #space: Space;
  readonly #cache: ManifestCache;
  readonly #largeSync: SharedSync;
  readonly #checkpoints: Checkpoints;
  readonly #damage: DamageLedger;
  readonly #ballastPath: string;
  readonly uploads: NodeUploads;
  #maintenance: Maintenance | null = null;
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
    const { disk } = seams;
    const { dataDir, capacityBytes } = options;
    this.#options = options;
    this.#seams = seams;
    this.#ballastPath = `${dataDir}/ballast`;
    for (const folder of storeFolders) disk.makeFolder(`${dataDir}/${folder}`);
    this.#files = new StoreFiles(disk, dataDir);
    this.#space = new Space({ disk, dataDir, files: this.#files, capacityBytes });
    this.#cache = new ManifestCache(options.manifestCacheBytesMax);
    this.#largeSync = new SharedSync(() => disk.syncFolderLater(`${dataDir}/large`));
    this.#damage = new DamageLedger({ home: seams.home, note: options.note });
    this.#checkpoints = new Checkpoints({
      clock: seams.clock,
      walBytesMax: options.walBytesMax,
      walBytes: () => this.#running?.view.index.walBytes() ?? 0,
      checkpoint: () => this.#maintenance?.checkpoint() ?? Promise.resolve(),
      onFailure: (reason) => this.#damage.suspectIndex(reason),
    });
    this.uploads = new NodeUploads({
      ...seams,
      dataDir,
      space: this.#space,
      limits: options.uploadLimits ?? usualUploadLimits,
      rows: () => this.#needWritable().view.index.uploads,
      exists: (name) => this.find(name) !== null,
      trouble: (error) => this.#indexTrouble(error),
      afterWrite: () => this.#checkpoints.afterGroup(),
      note: options.note,
    });
    this.ready = this.#start();
  }

  state(): StoreState {
    return this.#state;
  }

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
    return reader.open(manifest, startBytes, endBytes);
  }

  attributes(manifest: Manifest): Attributes | null {
    if ((manifest.flags & manifestFlags.hasAttributes) === 0) return {};
    return this.#need().reader.attributes(manifest);
  }

  stage(expectedBytes: number): Stage {
    const { storeId } = this.#needWritable();
    return new LargeStage({
      disk: this.#seams.disk,
      files: this.#files,
      space: this.#space,
      storeId,
      expectedBytes,
      syncFolder: () => this.#largeSync.sync(),
    });
  }

  commit(change: Change): Promise<Outcome> {
    if (this.#state.at === "serving") return this.#need().committer.commit(change);
    if (change.op === "put" && !(change.body instanceof Uint8Array)) {
      dropStagedFile(this.#files, change.body);
    }
    return Promise.reject(this.#notServing());
  }

  usage(): StoreUsage {
    return describeUsage({
      running: this.#running,
      space: this.#space,
      files: this.#files,
      cache: this.#cache,
      countsBefore: this.#countsBefore,
      damagedBodies: this.#damage.damagedBodies,
    });
  }

  segments(): SegmentFigures[] {
    return this.#files.segmentFigures(this.#running?.journal.tail.file ?? 0);
  }

  async close(): Promise<void> {
    const running = this.#running;
    this.#state = { at: "closed" };
    this.uploads.close();
    if (running !== null) {
      await running.committer.close(new Fault("unavailable", "The store is closing"));
      await this.#checkpoints.settle();
      await this.#maintenance?.close();
      releaseRunning(running);
    } else {
      // It ends at its next pause and closes the index as it is: the next start goes on from there.
      await this.#recovering?.catch(() => {});
      await this.#maintenance?.close();
    }
    this.#running = null;
  }

  /**
   * For a process that is about to exit without `close`: notes that the index is whole. Synchronous; nothing that was
   * acknowledged depends on it, but without it the next start would have to make the index anew.
   */
  endAtOnce(): void {
    this.#state = { at: "closed" };
    const index = this.#running?.view.index ?? this.#opening;
    if (index !== null) closeQuietly(index);
  }

  async #start(): Promise<void> {
    this.#maintenance = this.#seams.startMaintenance();
    try {
      // The folders may be new: what is synced inside them is durable only once they are.
      await this.#seams.disk.syncFolderLater(this.#options.dataDir);
      await this.#recover(new Map());
    } catch (error) {
      void this.#maintenance.close();
      if (this.#isClosed()) return;
      throw error;
    }
    const own = this.#running;
    void tidyUp({
      maintenance: this.#maintenance,
      files: this.#files,
      space: this.#space,
      firstOwnFile: this.#firstOwnFile,
      ballast: { path: this.#ballastPath, sizeBytes: this.#seams.ballastBytes },
      // What a row should name may only look unreferenced in an index that is not to be believed.
      mayRemove: () =>
        this.#state.at === "serving" && this.#running === own && !this.#damage.isIndexSuspect,
      note: this.#options.note,
    });
  }

  /** One recovery, from the files as they are, and a new segment to write to. */
  async #recover(knownEnds: ReadonlyMap<number, number>): Promise<void> {
    try {
      this.#recovering = this.#runRecovery(knownEnds);
      await this.#recovering;
    } finally {
      this.#recovering = null;
      this.#opening = null;
    }
  }

  async #runRecovery(knownEnds: ReadonlyMap<number, number>): Promise<void> {
    const { random, home } = this.#seams;
    const { note } = this.#options;
    const parts = this.#parts();
    const recovery = await recover({
      disk: parts.disk,
      dataDir: parts.dataDir,
      random,
      home,
      files: parts.files,
      knownEnds,
      progress: (doneBytes, totalBytes) => {
        if (this.#state.at === "recovering") {
          this.#state = { at: "recovering", doneBytes, totalBytes };
        }
      },
      opened: (index) => {
        this.#opening = index;
      },
      pause: async () => {
        await this.#seams.nextTurn();
        if (this.#isClosed()) throw this.#notServing();
      },
      note,
    });
    const journal = continueLog(recovery, parts);
    try {
      await startLog(recovery, journal, { files: this.#files, note });
    } catch (error) {
      recovery.index.close();
      throw error;
    }
    if (this.#state.at === "closed") {
      journal.seal();
      recovery.index.close();
      return;
    }
    this.#running = assemble(recovery, journal, parts);
    this.#damage.trustIndex();
    this.#checkpoints.reset();
    this.#firstOwnFile = journal.tail.file;
    this.#state = { at: "serving" };
    const running = this.#running;
    const maintenance = (): Maintenance | null => this.#maintenance;
    const isWanted = (): boolean => this.#running === running;
    fillFilterWhenWanted(running, { ...this.#seams, maintenance, note, isWanted });
    void this.uploads.adopt();
  }

  #parts(): RunningParts {
    return {
      ...this.#options,
      ...this.#seams,
      files: this.#files,
      space: this.#space,
      cache: this.#cache,
      checkLarge: async (path, manifest) =>
        (await this.#maintenance?.checkLarge(path, manifest)) ?? false,
      onDamage: (view, manifest, isIndexWrong) =>
        this.#damage.noteBody(view, manifest, isIndexWrong),
      repairIndex: (view, batch) => this.#repairIndex(view, batch),
      beforeGroup: () => this.#checkpoints.beforeGroup(),
      afterGroup: () => this.#checkpoints.afterGroup(),
      stop: (reason, broken) => this.#stopWriting(reason, broken),
    };
  }

  #need(): Running {
    if (this.#running === null || this.#state.at === "recovering") throw this.#notServing();
    return this.#running;
  }

  #needWritable(): Running {
    if (this.#state.at !== "serving") throw this.#notServing();
    return this.#need();
  }

  #notServing(): Fault {
    return notServing(this.#state);
  }

  async #repairIndex(view: CatalogView, batch: IndexBatch): Promise<"done" | "void" | "rebuild"> {
    const { disk, ballastBytes } = this.#seams;
    if (ballastBytes > 0) disk.remove(this.#ballastPath);
    this.#options.note("index repair", { seq: batch.mark.seq });
    return await repairIndex(view, batch, this.#seams);
  }

  /** The committer stopped: reads go on, and the store tries to write again until it can. */
  #stopWriting(reason: string, broken: Broken): void {
    if (broken === "corruptIndex") this.#damage.suspectIndex(reason);
    if (this.#state.at !== "serving") return;
    this.#state = { at: "readOnly", reason };
    this.#options.note("read-only", { reason, broken });
    void this.#heal(broken);
  }

  async #heal(broken: Broken): Promise<void> {
    let isCorrupt = broken === "corruptIndex";
    while (!this.#isClosed() && this.#state.at !== "serving") {
      await sleep(this.#seams.clock, healPauseMs);
      if (this.#isClosed()) return;
      try {
        await (isCorrupt ? this.#recoverAgain() : this.#resume(broken));
        this.#options.note("writing again", {});
      } catch (error) {
        const fault = asFault(error);
        this.#options.note("healing failed", { reason: fault.message });
        if (fault.code !== "damaged" || isCorrupt) continue;
        isCorrupt = true;
        this.#damage.suspectIndex(fault.message);
      }
    }
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
    if (running !== null) {
      const { journal, committer } = running;
      await committer.close(this.#notServing());
      const { file, endBytes } = journal.tail;
      this.#knownEnds = new Map([...journal.burntEnds, [file, endBytes]]);
      this.#countsBefore.groups += committer.counts.groups;
      this.#countsBefore.changes += committer.counts.changes;
      await this.#checkpoints.settle();
      this.#running = null;
      releaseRunning(running);
    }
    await this.#releaseFromMaintenance();
    if (this.#isClosed()) return;
    this.#state = { at: "recovering", doneBytes: 0, totalBytes: 0 };
    await this.#recover(this.#knownEnds);
  }

  /** A Worker that died holds nothing any more, and the next one does its work. */
  async #releaseFromMaintenance(): Promise<void> {
    try {
      await this.#maintenance?.releaseIndex();
    } catch (error) {
      this.#options.note("maintenance replaced", { reason: asFault(error).message });
      this.#maintenance = this.#seams.startMaintenance();
    }
  }

  #isClosed(): boolean {
    return this.#state.at === "closed";
  }

  /** A read met trouble in the index: a corrupt one is rebuilt, as at a start. */
  #indexTrouble(error: unknown): Fault {
    const fault = asFault(error);
    if (fault.code !== "damaged") return fault;
    this.#stopWriting(fault.message, "corruptIndex");
    return new Fault("unavailable", "The index is being rebuilt: try again in a moment", {
      cause: fault,
    });
  }
}
