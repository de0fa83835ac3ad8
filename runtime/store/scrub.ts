import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { asFault } from "../base/fault.ts";
import { KiB, second } from "../base/units.ts";
import type { DamageLedger } from "./damage.ts";
import type { StoreFiles } from "./files.ts";
import type { Maintenance } from "./maintenance.ts";
import type { StoreNote } from "./open.ts";
import type { Running } from "./running.ts";
import { ScrubCycle, type ScrubTarget } from "./scrub-cycle.ts";
import { ScrubFigures, type ScrubReport } from "./scrub-figures.ts";
import { encodeScrubHint, readScrubHint, type ScrubPosition } from "./scrub-hint.ts";
import { judgePlaces } from "./scrub-judge.ts";
import { ScrubPace } from "./scrub-pace.ts";
import type { DamagedPlace } from "./scrub-place.ts";
import type { ScrubRequest, ScrubSlice } from "./scrub-slice.ts";

/** How much of a disk's time the scrub may take. */
export type ScrubSettings = {
  /** 0 switches it off, except when it is asked for. */
  readonly bytesPerSecond: number;
  /** Shortest time from the start of a cycle to the start of the next, milliseconds. */
  readonly cycleMsMin: number;
};

export type ScrubOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly scrub?: ScrubSettings;
  readonly files: StoreFiles;
  readonly damage: DamageLedger;
  /** Null while the store recovers. */
  readonly running: () => Running | null;
  readonly maintenance: () => Maintenance | null;
  readonly note: StoreNote;
};

/** What one step works with. */
type Turn = {
  readonly running: Running;
  readonly maintenance: Maintenance;
  readonly cycle: ScrubCycle;
};
type ReadSlice = Extract<ScrubSlice, { at: "read" }>;

const switchedOff: ScrubSettings = { bytesPerSecond: 0, cycleMsMin: 0 };

/** A start has better things to do, and often is followed by another. */
const startPauseMs = 10 * second;
/** Pause when the Worker or the index could not be asked. */
const retryMs = 5 * second;
/** The position is kept this often: a kill takes the scrub back by no more. */
const hintPeriodMs = 10 * second;
/** A slice counts as this much at least: what it costs beside its bytes must not add up in many small files. */
const sliceBytesMin = 64 * KiB;
/** So does a record, which costs 1.4 us of the Worker: at the default rate a store of tiny ones takes 1.2 % of a core. */
const recordBytesMin = KiB;
/** Damaged places of one file that wait to be looked up in the index together. */
const pendingMax = 1_024;

/**
 * Reads everything that is stored, over and over, at a rate: what was damaged is found before somebody asks for it.
 * The Worker reads, one slice after the other and behind all its other work; here it is decided what comes next, and
 * what a damaged place means for the artifacts. Only the durable part of files that do not change is read.
 */
export class Scrub {
  readonly #options: ScrubOptions;
  readonly #settings: ScrubSettings;
  readonly #hintPath: string;
  readonly #figures = new ScrubFigures();
  #pace: ScrubPace;
  #cycle: ScrubCycle | null = null;
  #resume: ScrubPosition | null;
  #pending: DamagedPlace[] = [];
  #hintedMs = 0;
  #isAsked = false;
  #isRoused = false;
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(options: ScrubOptions) {
    this.#options = options;
    this.#settings = options.scrub ?? switchedOff;
    this.#hintPath = `${options.dataDir}/scrub-position`;
    this.#pace = new ScrubPace(this.#settings.bytesPerSecond);
    const { position, last } = readScrubHint(options.disk, this.#hintPath);
    this.#resume = position;
    this.#figures.last = last;
    void this.#run();
  }

  report(): ScrubReport {
    return this.#figures.report(this.#cycle, this.#settings);
  }

  /** Starts a cycle from the beginning and at full speed, in the place of one under way. */
  startNow(): void {
    this.#isAsked = true;
    this.#rouse();
  }

  close(): void {
    this.#isClosed = true;
    this.#rouse();
  }

  async #run(): Promise<void> {
    if (this.#settings.bytesPerSecond > 0) await this.#pause(startPauseMs);
    while (!this.#isClosed) {
      let waitMs: number | null = retryMs;
      try {
        waitMs = await this.#step();
      } catch (error) {
        if (this.#isClosed) return;
        this.#options.note("scrub interrupted", { reason: asFault(error).message });
      }
      if (waitMs !== 0) await this.#pause(waitMs);
    }
  }

  /** Waits for that long, or until it is roused; null: for ever. */
  async #pause(waitMs: number | null): Promise<void> {
    if (!this.#isRoused) {
      await new Promise<void>((resolve) => {
        const timer = waitMs === null ? null : this.#options.clock.after(waitMs, resolve);
        this.#wake = () => {
          timer?.cancel();
          resolve();
        };
      });
    }
    this.#isRoused = false;
  }

  #rouse(): void {
    this.#isRoused = true;
    this.#wake();
  }

  /** The next thing to do; returns how long to wait after it in milliseconds, null until something happens. */
  async #step(): Promise<number | null> {
    if (this.#isAsked) this.#cycle = null;
    const waitMs = this.#cycle === null ? this.#untilDue() : 0;
    if (waitMs !== 0) return waitMs;
    const running = this.#options.running();
    const maintenance = this.#options.maintenance();
    if (running === null || maintenance === null) return second;
    this.#cycle ??= this.#begin();
    const turn: Turn = { running, maintenance, cycle: this.#cycle };
    if (this.#pending.length >= (turn.cycle.isBetweenFiles ? 1 : pendingMax)) {
      await this.#settle(turn);
      return 0;
    }
    const { files } = this.#options;
    const target = turn.cycle.target((file) => files.holds(file) && !files.isDead(file));
    if (target !== null) return await this.#scrubSlice(turn, target);
    await this.#end(turn);
    return 0;
  }

  /** Milliseconds until the next cycle begins; null when none does by itself. */
  #untilDue(): number | null {
    const { bytesPerSecond, cycleMsMin } = this.#settings;
    const { last } = this.#figures;
    if (this.#isAsked) return 0;
    if (bytesPerSecond === 0) return null;
    if (this.#resume !== null || last === null) return 0;
    const waitMs = last.startedMs + cycleMsMin - this.#options.clock.wallMs();
    // A wall clock that was set back must not put it off for longer than a cycle.
    return Math.min(cycleMsMin, Math.max(0, waitMs));
  }

  #begin(): ScrubCycle {
    const { files, clock } = this.#options;
    const isFullSpeed = this.#isAsked;
    const position = isFullSpeed ? null : this.#resume;
    this.#isAsked = false;
    this.#resume = null;
    this.#pace = new ScrubPace(
      isFullSpeed ? Number.POSITIVE_INFINITY : this.#settings.bytesPerSecond,
    );
    return new ScrubCycle(files, { nowMs: clock.wallMs(), isFullSpeed, position });
  }

  async #end({ cycle, maintenance }: Turn): Promise<void> {
    this.#figures.last = cycle.ended(this.#options.clock.wallMs());
    this.#figures.cycles += 1;
    this.#cycle = null;
    await this.#keepHint(maintenance);
  }

  async #scrubSlice(turn: Turn, target: ScrubTarget): Promise<number> {
    const { clock, note } = this.#options;
    const { maintenance, cycle } = turn;
    const slice = await maintenance.scrub(this.#requestFor(turn, target));
    if (slice.at === "read") {
      const doneBytes = this.#take(cycle, slice, target);
      const paidBytes = Math.max(sliceBytesMin, recordBytesMin * slice.records, doneBytes);
      const waitMs = this.#pace.waitAfter(paidBytes, clock.monotonicMs());
      if (clock.monotonicMs() >= this.#hintedMs + hintPeriodMs) await this.#keepHint(maintenance);
      return waitMs;
    }
    cycle.endFile();
    if (slice.at === "gone") return 0;
    note("scrub left a file out", { file: target.file, reason: slice.reason });
    return second;
  }

  #requestFor({ cycle, running }: Turn, { file, isLarge }: ScrubTarget): ScrubRequest {
    const { files } = this.#options;
    const { tail, burntEnds } = running.journal;
    const { atBytes, badFromBytes } = cycle;
    const path = files.pathOf(file, isLarge);
    const request = { path, file, isLarge, storeId: running.storeId, atBytes, badFromBytes };
    const endBytes = file === tail.file ? tail.endBytes : (burntEnds.get(file) ?? null);
    if (isLarge || endBytes !== null) return { ...request, endBytes, successorPath: null };
    const successor = files.segmentNumbers().find((number) => number > file);
    const successorPath = successor === undefined ? null : files.segmentPath(successor);
    return { ...request, endBytes, successorPath };
  }

  /** Notes what a slice found; returns how far it went, in bytes. */
  #take(cycle: ScrubCycle, slice: ReadSlice, { file }: ScrubTarget): number {
    const doneBytes = Math.max(0, slice.nextBytes - cycle.atBytes);
    this.#figures.checkedBytes += doneBytes;
    cycle.doneBytes += doneBytes;
    cycle.atBytes = slice.nextBytes;
    cycle.badFromBytes = slice.badFromBytes;
    if (slice.damagedHeaders > 0) {
      this.#figures.damagedHeaders += slice.damagedHeaders;
      this.#options.note("damaged file header", { file, copies: slice.damagedHeaders });
    }
    if (slice.damages.length > 0) {
      // At once: what was checked in this file before may be what is damaged now.
      this.#options.running()?.reader.doubt(file);
      this.#pending.push(...slice.damages);
    }
    if (slice.isEnd) cycle.endFile();
    return doneBytes;
  }

  /** Looks up whom the damaged places belong to. They wait on when that fails. */
  async #settle({ running, maintenance, cycle }: Turn): Promise<void> {
    const { clock, damage, note } = this.#options;
    const places = this.#pending;
    const { found, elsewhere } = await judgePlaces({ running, maintenance, damage }, places);
    this.#pending = [];
    cycle.damagedCount += found.length;
    for (const { row, place } of found) this.#figures.addDamage(row, place, clock.wallMs());
    this.#figures.damagedElsewhere += elsewhere;
    if (elsewhere > 0) note("damage outside of artifacts", { file: places[0]?.file, elsewhere });
  }

  async #keepHint(maintenance: Maintenance): Promise<void> {
    const { clock, note } = this.#options;
    const position = this.#cycle?.position(this.#pending.length > 0) ?? null;
    this.#hintedMs = clock.monotonicMs();
    try {
      await maintenance.writeHint(
        this.#hintPath,
        encodeScrubHint({ position, last: this.#figures.last }),
      );
    } catch (error) {
      if (!this.#isClosed) note("scrub position not kept", { reason: asFault(error).message });
    }
  }
}
