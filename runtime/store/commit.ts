import type { Clock } from "../base/clock.ts";
import { asFault, Fault } from "../base/fault.ts";
import type { CatalogView } from "./catalog-view.ts";
import type { CommitChange } from "./copy-change.ts";
import { GroupBuffer } from "./group.ts";
import type { IndexBatch, Mark } from "./index.ts";
import type { Journal, LogTail } from "./journal.ts";
import { GroupPlan, type Stamps } from "./plan.ts";
import { roomWaitMsMax, type Space } from "./space.ts";
import { dropStaged, settleStaged, stagedOf } from "./staged-files.ts";
import { type Manifest, manifestFlags, type Outcome } from "./store.ts";
import { roomFor, roomOf, type Waiter, WaitingChanges } from "./waiting-changes.ts";

/** Changes that may wait for the group before them: about 16 full groups. Beyond it a request is shed. */
const waitingChangesMax = 4_096;

/** A change of the group with what was decided for it. `isWritten`: its record is part of the group. */
type Decided = { readonly waiter: Waiter; readonly outcome: Outcome; readonly isWritten: boolean };

export type CommitterOptions = {
  readonly view: CatalogView;
  readonly journal: Journal;
  readonly space: Space;
  readonly clock: Clock;
  readonly origin: number;
  readonly segmentBytesMax: number;
  readonly stamps: Stamps;
  /** Holds the group for a moment when the write-ahead log of the index has grown too long. */
  readonly beforeGroup: () => Promise<void>;
  readonly afterGroup: () => void;
  /** Rows were replaced or deleted, or a scope was cleaned: what lies at their places is of no use any more. */
  readonly onGarbage: (replaced: readonly Manifest[], hasClean: boolean) => void;
  /**
   * The index refused a batch: opens it again and repeats the batch, for at most one second.
   * "done": it has the rows. "void": it has not and will not. "rebuild": it is corrupt; the log keeps the group.
   */
  readonly repairIndex: (batch: IndexBatch) => Promise<"done" | "void" | "rebuild">;
  /** The store cannot write any more; it reads on and heals itself in the background. */
  readonly stop: (reason: string, broken: Broken, isFull: boolean) => void;
  /** The disk is full, and the log has to write all the same. */
  readonly makeRoom: () => void;
};

/** What made the committer stop: an index that is corrupt has to be made anew. */
export type Broken = "log" | "index" | "corruptIndex";

/** Figures since the start of the process. */
export type CommitCounts = { groups: number; changes: number };

/** The single committer: the only place that gives out seqs and versions, appends to the log and writes the index. */
export class Committer {
  readonly #options: CommitterOptions;
  readonly #buffer = new GroupBuffer();
  readonly #waiting = new WaitingChanges();
  readonly counts: CommitCounts = { groups: 0, changes: 0 };
  #running: Promise<void> | null = null;
  #underWay: readonly Waiter[] = [];
  /** Changes whose files are removed once the disk answers. */
  #droppedLater: CommitChange[] = [];
  #stopped: Fault | null = null;
  #head: number;
  /** Wakes the committer while all that it has waits for room. */
  #arrived: (() => void) | null = null;

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#head = options.stamps.seq;
  }

  /** The seq up to which everything is durable and visible. */
  get head(): number {
    return this.#head;
  }

  /** The highest version given out. */
  get version(): number {
    return this.#options.stamps.version;
  }

  commit(change: CommitChange): Promise<Outcome> {
    if (this.#stopped !== null) {
      this.#dropStaged(change);
      return Promise.reject(this.#stopped);
    }
    // What makes room always has a place: whatever waits for it is behind it.
    if (change.op !== "copy" && this.#waiting.count >= waitingChangesMax) {
      this.#dropStaged(change);
      const fault = new Fault("overloaded", "Cannot queue the write: 4,096 changes wait already");
      return Promise.reject(fault);
    }
    return new Promise((resolve, reject) => {
      this.#waiting.add({ change, resolve, reject });
      this.#arrived?.();
      this.#running ??= this.#run();
    });
  }

  /** Refuses everything from here on and waits for the group under way. */
  async close(fault: Fault): Promise<void> {
    this.#stopped ??= fault;
    this.#arrived?.();
    await this.#running;
    for (const waiter of this.#waiting.takeAll()) this.#refuse(waiter, fault);
  }

  /** Resolves when no group is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /**
   * The disk does not answer: nobody waits for it any longer, and nothing is asked of it. What may have been written is
   * of unknown outcome; the group under way ends when it ends.
   */
  pause(fault: Fault): void {
    this.#stopped ??= fault;
    this.#arrived?.();
    for (const waiter of [...this.#underWay, ...this.#waiting.takeAll()]) {
      if (waiter.at === "stamped") {
        this.#cut([waiter], fault);
        continue;
      }
      waiter.at = "gone";
      if (stagedOf(waiter.change) !== null) this.#droppedLater.push(waiter.change);
      waiter.reject(fault);
    }
  }

  /** Takes changes again after a stop whose cause is gone. */
  resume(): void {
    this.#stopped = null;
    for (const change of this.#droppedLater.splice(0)) this.#dropStaged(change);
  }

  async #run(): Promise<void> {
    // One turn of the loop lets requests that arrived together share the first group.
    await Promise.resolve();
    while (this.#waiting.count > 0 && this.#stopped === null) {
      const waiters = this.#waiting.takeGroup(this.#options.space);
      if (waiters.length === 0) {
        await this.#untilRoom();
        continue;
      }
      this.#underWay = waiters;
      try {
        await this.#commitGroup(waiters);
      } catch (error) {
        // Only an assertion or a bug gets here: nothing is known of the group, and nothing more may be written.
        this.#halt(`a group failed in an unknown way: ${asFault(error).message}`, "index");
        this.#cut(waiters, error);
      }
      this.#underWay = [];
    }
    if (this.#stopped !== null) {
      for (const waiter of this.#waiting.takeAll()) this.#refuse(waiter, this.#stopped);
    }
    this.#running = null;
  }

  /** All that waits are puts without room: until there is some, something else comes, or they have waited long enough. */
  async #untilRoom(): Promise<void> {
    const { space, clock } = this.#options;
    const { first } = this.#waiting;
    if (first === undefined) return;
    const nowMs = clock.monotonicMs();
    const { sinceMs, newCount } = this.#waiting.hold(nowMs);
    const heldMs = nowMs - sinceMs;
    space.waits += newCount;
    if (space.isStuck() || heldMs >= roomWaitMsMax) {
      space.onShort();
      this.#waiting.takeFirst();
      this.#refuse(first, space.noRoom(roomOf(first)));
      return;
    }
    const arrived = new Promise<void>((resolve) => {
      this.#arrived = resolve;
    });
    space.want(roomOf(first));
    await Promise.race([arrived, space.changed(roomWaitMsMax - heldMs)]);
    space.want(0);
    this.#arrived = null;
  }

  async #commitGroup(taken: Waiter[]): Promise<void> {
    const { journal, segmentBytesMax, beforeGroup, afterGroup } = this.#options;
    await beforeGroup();
    const waiters = this.#admit(taken);
    if (waiters.length === 0) return;
    if (!journal.fits(roomFor(waiters), segmentBytesMax)) {
      const fault = await this.#attempt(() => journal.startSuccessor());
      if (fault !== null) {
        for (const waiter of waiters) this.#refuse(waiter, asRefusal(fault));
        return;
      }
    }
    const before = journal.tail;
    // 1. Decide and stamp. A crash here leaves nothing.
    const { plan, decided } = this.#decide(waiters);
    if (plan.isEmpty) {
      for (const { waiter, outcome } of decided) this.#answer(waiter, outcome);
      return;
    }
    // 2. and 3. The records, whole and synced. A crash here leaves a tail that recovery takes or sets aside.
    const fault = await this.#attempt(() =>
      journal.append(this.#buffer.bytes(), this.#buffer.chain),
    );
    if (fault !== null) {
      await this.#voidGroup(decided, asRefusal(fault));
      return;
    }
    // 4. Rows and mark in one transaction. A crash before it is cured by replay from the old mark.
    const batch = this.#batchOf(plan, journal.tail);
    if (!(await this.#index(batch, decided, before))) return;
    // 5. Visible from here on; then the answers.
    this.#publish(plan, batch);
    for (const { waiter, outcome } of decided) this.#answer(waiter, outcome);
    afterGroup();
  }

  /** Refuses what the disk has no room for; cleans and deletes go on when puts cannot. */
  #admit(waiters: Waiter[]): Waiter[] {
    const { space } = this.#options;
    const room = roomFor(waiters);
    const noPuts = space.refuseLittleFree(room);
    if (noPuts === null) return waiters;
    const small = waiters.filter((waiter) => waiter.change.op !== "put");
    const noCleans = small.length === 0 ? null : space.refuseClean(roomFor(small));
    const admitted: Waiter[] = [];
    for (const waiter of waiters) {
      const refusal = waiter.change.op === "put" ? noPuts : noCleans;
      if (refusal === null) admitted.push(waiter);
      else this.#refuse(waiter, refusal);
    }
    return admitted;
  }

  #decide(waiters: readonly Waiter[]): { plan: GroupPlan; decided: Decided[] } {
    const { view, journal, stamps, origin, clock } = this.#options;
    const buffer = this.#buffer;
    const { file, endBytes, chain } = journal.tail;
    buffer.reset(endBytes, chain, journal.seed);
    buffer.reserve(roomFor(waiters));
    const wallMs = clock.wallMs();
    const plan = new GroupPlan({ view, buffer, stamps, origin, wallMs, file });
    const decided: Decided[] = [];
    for (const waiter of waiters) {
      if (waiter.at === "gone") continue;
      waiter.at = "stamped";
      const lengthBytes = buffer.lengthBytes;
      const chainBefore = buffer.chain;
      try {
        const outcome = plan.decide(waiter.change);
        decided.push({ waiter, outcome, isWritten: buffer.lengthBytes > lengthBytes });
      } catch (error) {
        buffer.cut(lengthBytes, chainBefore);
        const fault = asFault(error);
        if (fault.code === "damaged") this.#halt(fault.message, "corruptIndex");
        this.#refuse(waiter, fault.code === "badRequest" ? fault : asRefusal(fault));
      }
    }
    return { plan, decided };
  }

  #batchOf(plan: GroupPlan, tail: LogTail): IndexBatch {
    const { view, stamps } = this.#options;
    const mark: Mark = {
      file: tail.file,
      offsetBytes: tail.endBytes,
      chain: tail.chain,
      seq: stamps.seq,
      version: stamps.version,
      fileHigh: view.files.high,
    };
    const quarantined = view.quarantine.fresh();
    return { rows: plan.rows, tombstones: plan.tombstones, mark, quarantined };
  }

  /** Step 4 with its cures; false when the group did not make it and its waiters were told. */
  async #index(batch: IndexBatch, decided: readonly Decided[], before: LogTail): Promise<boolean> {
    const { view, journal, repairIndex } = this.#options;
    try {
      view.index.apply(batch);
      return true;
    } catch (error) {
      const verdict = await repairIndex(batch);
      if (verdict === "done") return true;
      const fault = asFault(error);
      if (verdict === "rebuild") {
        this.#halt(fault.message, "corruptIndex");
        this.#cut(waitersOf(decided), error);
        return false;
      }
      journal.voidBack(before);
      // First of all: should the log fail too, both are healed by opening everything again, and only by that.
      this.#halt(fault.message, "index", fault.code === "full");
      await this.#voidGroup(decided, asRefusal(fault));
      return false;
    }
  }

  /**
   * Makes sure that the records of a failed group are never read, and only then refuses its waiters.
   * When not even that can be written, nobody can say how it will end: the waiters are cut without a status.
   */
  async #voidGroup(decided: readonly Decided[], refusal: Fault): Promise<void> {
    if (refusal.code === "full") this.#options.makeRoom();
    const fault = await this.#attempt(() => this.#options.journal.startSuccessor());
    if (fault !== null) {
      this.#halt(`no new segment could be started: ${fault.message}`, "log", fault.code === "full");
      this.#cut(waitersOf(decided), fault);
      return;
    }
    for (const { waiter, outcome, isWritten } of decided) {
      if (!isWritten && !dependsOnGroup(outcome, this.#head)) this.#answer(waiter, outcome);
      else this.#refuse(waiter, refusal);
    }
  }

  #publish(plan: GroupPlan, batch: IndexBatch): void {
    const { view, space } = this.#options;
    const { cache, filter, absent, tombstones, quarantine } = view;
    let writtenBytes = this.#buffer.lengthBytes;
    for (const row of plan.rows) {
      if (row.seq <= this.#head) {
        // A copy: it is at another place, and no more in demand than it was.
        cache.replace(row);
        continue;
      }
      filter.add(row.id);
      absent.drop(row.id);
      cache.put(row);
      if ((row.flags & manifestFlags.large) === 0) continue;
      view.files.settleLarge(row.file);
      writtenBytes += row.sizeBytes;
    }
    plan.cleanedScopes.forEach((scope, i) => {
      tombstones.raise(scope.hashKey, plan.tombstones[i]?.version ?? 0);
    });
    quarantine.settle(batch.quarantined.length);
    this.#head = batch.mark.seq;
    this.counts.groups += 1;
    this.counts.changes += plan.rows.length - plan.copiedCount + plan.tombstones.length;
    this.#options.onGarbage(plan.replaced, plan.cleanedScopes.length > 0);
    space.noteWritten(writtenBytes);
  }

  #answer(waiter: Waiter, outcome: Outcome): void {
    if (outcome.at !== "stored") this.#dropStaged(waiter.change);
    waiter.resolve(outcome);
  }

  #refuse(waiter: Waiter, fault: Fault): void {
    this.#dropStaged(waiter.change);
    waiter.reject(fault);
  }

  /** The outcome is not known: large files stay, since their records may be found by recovery. */
  #cut(waiters: readonly Waiter[], cause: unknown): void {
    settleStaged(this.#options.view.files, waiters);
    const fault = new Fault("outcomeUnknown", "The store failed while it wrote", { cause });
    for (const waiter of waiters) waiter.reject(fault);
  }

  #dropStaged(change: CommitChange): void {
    dropStaged(this.#options.view.files, change);
  }

  #halt(reason: string, broken: Broken, isFull = false): void {
    const text = `The store does not take writes now: ${reason}`;
    this.#stopped ??= new Fault(isFull ? "full" : "unavailable", text);
    this.#options.stop(reason, broken, isFull);
  }

  async #attempt(run: () => Promise<void>): Promise<Fault | null> {
    try {
      await run();
      return null;
    } catch (error) {
      return asFault(error);
    }
  }
}

function waitersOf(decided: readonly Decided[]): Waiter[] {
  return decided.map(({ waiter }) => waiter);
}

/** Whether an answer may rest on a record of the group that failed; an "absent" may be due to a delete in it. */
function dependsOnGroup(outcome: Outcome, head: number): boolean {
  if (outcome.at === "absent") return true;
  return outcome.at === "exists" && outcome.manifest.seq > head;
}

/** What a client is told of a failed write: "full" when the disk was, "unavailable" for every other reason. */
function asRefusal(fault: Fault): Fault {
  if (fault.code === "full") return fault;
  const text = "The write failed and nothing was stored: see the log of the node";
  return new Fault("unavailable", text, { cause: fault });
}
