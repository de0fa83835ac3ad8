import { type Clock, sleep } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { Fault } from "../base/fault.ts";
import { MiB, second } from "../base/units.ts";
import type { StoreFiles } from "./files.ts";
import { OpenEnded } from "./open-ended.ts";
import { WriteRate } from "./write-rate.ts";

/** Free space that puts leave alone, so that SQLite never meets a full disk first. */
const freeForPutsBytes = 4 * MiB;
/** Cleans and deletes are tiny and make things smaller in the end: they may go on for longer. */
const freeForCleansBytes = 1 * MiB;
/** Room is made ahead for what is written in this time, but not for more than this share of the capacity. */
const aheadMs = 15 * second;
const aheadShareMax = 1 / 8;
/** Of the capacity, bodies of unknown length hold this share before they go on one by one. */
const openEndedShare = 1 / 4;
/** A put waits this long for room while room is being made. */
export const roomWaitMsMax = 30 * second;

/** Room for a body that is on its way: less with what is counted as a file already, none once it is given back. */
export type Reservation = { shrink(bytes: number): void; giveBack(): void };

/** Room that may have to be waited for. Cancelled, it is given back as soon as it would be there. */
export type Take = {
  readonly room: Promise<Reservation>;
  /** False when it, or its refusal, was there at once. */
  readonly isAwaited: boolean;
  cancel(): void;
};

type Waiter = { readonly bytes: number; settle: (end: Reservation | Fault) => void };

export type SpaceOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly files: StoreFiles;
  readonly capacityBytes: number;
  readonly segmentBytes: number;
};

/** What the store may take: a capacity of its own, within which room is made, and what the file system has left. */
export class Space {
  readonly #options: SpaceOptions;
  readonly #waiters: Waiter[] = [];
  readonly #rate: WriteRate;
  readonly openEnded: OpenEnded;
  #reservedBytes = 0;
  #partBytes = 0;
  #wantedBytes = 0;
  #changed: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Writes that had to wait, since the start of the process. */
  waits = 0;
  /** Told whenever room may have to be made. */
  onShort: () => void = () => {};
  /** Whether nothing more may go for now, so that waiting for room is in vain. */
  isStuck: () => boolean = () => false;
  /** Of the dead bytes, those that somebody reads: they stay for as long as he does. */
  pinnedBytes: () => number = () => 0;
  /** Told whenever somebody begins to wait for room. */
  onWaiting: () => void = () => {};
  #isHurried = false;

  constructor(options: SpaceOptions) {
    this.#options = options;
    this.#rate = new WriteRate(options.clock);
    this.openEnded = new OpenEnded({
      clock: options.clock,
      bytesMax: Math.max(0, options.capacityBytes - options.segmentBytes) * openEndedShare,
      waitMsMax: roomWaitMsMax,
      take: (bytes, isFirst) => this.take(bytes, isFirst),
      noRoom: (bytes) => this.noRoom(bytes),
    });
    options.files.onFreed = () => this.#freed();
  }

  get capacityBytes(): number {
    return this.#options.capacityBytes;
  }

  /** Bytes of all data files, those that only wait to be unlinked too, and of uploads that were announced. */
  get usedBytes(): number {
    return this.#options.files.usedBytes + this.#reservedBytes + this.#partBytes;
  }

  /** Of uploads that are on their way: it becomes files, which may go, or is given back. */
  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** Those who wait for room; all of the committer's count as one. */
  get waiting(): number {
    return this.#waiters.length + Number(this.#wantedBytes > 0);
  }

  /** Room is being waited for by the one who makes it. */
  get isHurried(): boolean {
    return this.#isHurried;
  }

  set isHurried(isHurried: boolean) {
    this.#isHurried = isHurried;
    if (isHurried) this.onWaiting();
  }

  freeBytes(): number {
    return this.#options.disk.freeBytes(this.#options.dataDir);
  }

  /** What has to be freed so that writes need not wait; zero or less when nothing has. */
  get excessBytes(): number {
    const { capacityBytes, segmentBytes, files } = this.#options;
    const aheadBytes = Math.min(
      (this.#rate.bytesPerSecond * aheadMs) / second,
      capacityBytes * aheadShareMax,
    );
    const leftBytes = this.usedBytes - files.deadBytes + this.pinnedBytes();
    return leftBytes + this.#roomToMakeBytes + segmentBytes + aheadBytes - capacityBytes;
  }

  /** For those who wait: the first one whole, all of them up to half of the capacity, and never what cannot be made. */
  get #roomToMakeBytes(): number {
    const { capacityBytes, segmentBytes } = this.#options;
    const firstBytes = this.#waiters[0]?.bytes ?? 0;
    let allBytes = this.#wantedBytes;
    for (const { bytes } of this.#waiters) allBytes += bytes;
    const wantedBytes = Math.max(firstBytes, Math.min(allBytes, capacityBytes / 2));
    return Math.min(wantedBytes, Math.max(0, capacityBytes - segmentBytes - this.#partBytes));
  }

  /** Whether so many bytes can be written again at the end of the log before what they replace is gone. */
  hasRoomToCopy(bytes: number): boolean {
    const { capacityBytes, segmentBytes } = this.#options;
    return this.usedBytes + bytes <= capacityBytes + segmentBytes;
  }

  /** Whether somebody cannot go on before files are unlinked. */
  get isShort(): boolean {
    return this.usedBytes + this.#options.segmentBytes > this.capacityBytes;
  }

  /** Whether so many bytes fit now, behind whoever came first. */
  hasRoom(bytes: number): boolean {
    const firstBytes = this.#waiters[0]?.bytes ?? 0;
    return this.usedBytes + firstBytes + bytes <= this.capacityBytes;
  }

  /** Why `addedBytes` can never be stored, or cannot while the disk is as full as now; null when neither holds. */
  refusePut(addedBytes: number): Fault | null {
    const { capacityBytes, segmentBytes } = this.#options;
    const mostBytes = Math.max(0, capacityBytes - segmentBytes);
    if (addedBytes > mostBytes) return this.#tooLarge(addedBytes);
    if (addedBytes > mostBytes - this.#partBytes) return this.noRoom(addedBytes);
    return this.refuseLittleFree(addedBytes);
  }

  /** Why puts of so many bytes must not be written while the disk is as full as now, or null. */
  refuseLittleFree(addedBytes: number): Fault | null {
    return this.#refuseLittleFree(addedBytes, freeForPutsBytes);
  }

  /** What parts of uploads hold on disk. */
  setPartBytes(bytes: number): void {
    const isLess = bytes < this.#partBytes;
    this.#partBytes = bytes;
    if (isLess) this.#freed();
  }

  /** The same for changes that take no room for bodies. */
  refuseClean(addedBytes: number): Fault | null {
    return this.#refuseLittleFree(addedBytes, freeForCleansBytes);
  }

  /** Whether the file system is too full for a put of `addedBytes`, whatever the capacity says. */
  isDiskShort(addedBytes: number): boolean {
    return this.refuseLittleFree(addedBytes) !== null;
  }

  #reserve(bytes: number): Reservation {
    let heldBytes = bytes;
    this.#reservedBytes += bytes;
    const release = (lessBytes: number): void => {
      heldBytes -= lessBytes;
      this.#reservedBytes -= lessBytes;
    };
    return {
      shrink: (lessBytes) => release(Math.min(heldBytes, lessBytes)),
      giveBack: () => {
        if (heldBytes === 0) return;
        release(heldBytes);
        this.#freed();
      },
    };
  }

  /**
   * Reserves room, waiting until it was made. `isFirst`: before all who wait already, since what it holds is what they
   * wait for.
   * @throws Fault "full" when it was not made in time, or cannot be.
   */
  take(bytes: number, isFirst = false): Take {
    const hasRoom = isFirst ? this.usedBytes + bytes <= this.capacityBytes : this.hasRoom(bytes);
    if (hasRoom) return taken(Promise.resolve(this.#reserve(bytes)));
    if (this.isStuck()) {
      this.onShort();
      return taken(Promise.reject(this.noRoom(bytes)));
    }
    return this.#wait(bytes, isFirst);
  }

  /** What the committer waits for; 0 when it does not wait. */
  want(bytes: number): void {
    this.#wantedBytes = bytes;
    if (bytes === 0) return;
    this.onWaiting();
    this.onShort();
  }

  /** Resolves at the next change of what is used, or after `withinMs`. */
  async changed(withinMs: number): Promise<void> {
    await Promise.race([this.#changed.promise, sleep(this.#options.clock, withinMs)]);
  }

  noteWritten(bytes: number): void {
    this.#rate.add(bytes);
    this.onShort();
  }

  /** There is nothing more that may go: who waits is refused. */
  giveUp(): void {
    for (const waiter of this.#waiters.splice(0)) waiter.settle(this.noRoom(waiter.bytes));
    this.#notify();
  }

  noRoom(bytes: number): Fault {
    const figures = `${this.usedBytes} of ${this.capacityBytes} bytes are taken`;
    return new Fault(
      "full",
      `Cannot make room for ${bytes} bytes: ${figures} by what may not go yet; try again later or raise KURA_CAS_CAPACITY_BYTES`,
    );
  }

  #wait(bytes: number, isFirst: boolean): Take {
    const { promise: room, resolve, reject } = Promise.withResolvers<Reservation>();
    const leave = (): void => {
      const place = this.#waiters.indexOf(waiter);
      if (place >= 0) this.#waiters.splice(place, 1);
      waiter.settle(this.noRoom(bytes));
      this.#grant();
    };
    const timer = this.#options.clock.after(roomWaitMsMax, leave);
    const waiter: Waiter = {
      bytes,
      settle: (end) => {
        timer.cancel();
        if (end instanceof Fault) reject(end);
        else resolve(end);
      },
    };
    if (isFirst) this.#waiters.unshift(waiter);
    else this.#waiters.push(waiter);
    this.waits += 1;
    this.onWaiting();
    this.onShort();
    return {
      room,
      isAwaited: true,
      cancel: () => {
        // Whoever gave up does not listen any more.
        room.then((reservation) => reservation.giveBack()).catch(() => {});
        leave();
      },
    };
  }

  #freed(): void {
    this.#grant();
    this.#notify();
    this.onShort();
  }

  #grant(): void {
    for (;;) {
      const [first] = this.#waiters;
      if (first === undefined || this.usedBytes + first.bytes > this.capacityBytes) return;
      this.#waiters.shift();
      first.settle(this.#reserve(first.bytes));
    }
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #tooLarge(bytes: number): Fault {
    const most = `the store takes ${this.capacityBytes} bytes in all (KURA_CAS_CAPACITY_BYTES)`;
    return new Fault("full", `Cannot store ${bytes} bytes: ${most}`);
  }

  #refuseLittleFree(addedBytes: number, keepBytes: number): Fault | null {
    const freeBytes = this.freeBytes();
    const neededBytes = keepBytes + 2 * addedBytes;
    if (freeBytes >= neededBytes) return null;
    const figures = `${freeBytes} bytes are free, ${neededBytes} are needed`;
    return new Fault(
      "full",
      `Cannot write to ${this.#options.dataDir}: ${figures}; make room on this disk`,
    );
  }
}

function taken(room: Promise<Reservation>): Take {
  return {
    room,
    isAwaited: false,
    cancel: () => {
      room.then((reservation) => reservation.giveBack()).catch(() => {});
    },
  };
}
