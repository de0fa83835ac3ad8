import type { Fault } from "../base/fault.ts";
import type { CommitChange } from "./copy-change.ts";
import { groupBytesMax, groupChangesMax } from "./group.ts";
import { metadataBytesMax } from "./metadata.ts";
import { pieceCount, recordHeaderBytes } from "./record.ts";
import type { Space } from "./space.ts";
import type { Outcome } from "./store.ts";

/** A change that waits for its group, and who waits for its outcome. */
export type Waiter = {
  /** "stamped": its record may be written. "gone": it was given up and is part of no group. */
  at: "waiting" | "stamped" | "gone";
  readonly change: CommitChange;
  readonly bytes: number;
  /** Since when it waits for room; -1 while it does not. */
  heldMs: number;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (fault: Fault) => void;
};

/** Changes in the order in which they came. */
export class WaitingChanges {
  #waiters: Waiter[] = [];

  get count(): number {
    return this.#waiters.length;
  }

  get first(): Waiter | undefined {
    return this.#waiters[0];
  }

  add(waiter: Omit<Waiter, "at" | "bytes" | "heldMs">): void {
    const bytes = bodyBytesOf(waiter.change);
    this.#waiters.push({ ...waiter, at: "waiting", bytes, heldMs: -1 });
  }

  /**
   * What goes next, at most one group. Puts that have no room stay where they are, and hold back the puts behind them;
   * whatever makes room goes on, and so does a put whose body has its file already: until it is committed that file
   * cannot go, so that nobody behind it would ever have room.
   */
  takeGroup(space: Space): Waiter[] {
    const taken: Waiter[] = [];
    let bytes = 0;
    let roomBytes = 0;
    let isHeld = false;
    for (const waiter of this.#waiters) {
      const isOver = bytes + waiter.bytes > groupBytesMax;
      if (taken.length === groupChangesMax || (isOver && taken.length > 0)) break;
      if (needsRoom(waiter.change)) {
        roomBytes += roomOf(waiter);
        isHeld ||= !space.hasRoom(roomBytes);
        if (isHeld) continue;
      }
      bytes += waiter.bytes;
      taken.push(waiter);
    }
    if (isHeld) {
      const gone = new Set(taken);
      this.#waiters = this.#waiters.filter((waiter) => !gone.has(waiter));
    } else this.#waiters.splice(0, taken.length);
    return taken;
  }

  /** All that waits is held for room: since when the first one is, and how many were not before. */
  hold(nowMs: number): { sinceMs: number; newCount: number } {
    let newCount = 0;
    for (const waiter of this.#waiters) {
      if (waiter.heldMs >= 0) continue;
      waiter.heldMs = nowMs;
      newCount += 1;
    }
    return { sinceMs: this.first?.heldMs ?? nowMs, newCount };
  }

  takeFirst(): Waiter | undefined {
    return this.#waiters.shift();
  }

  takeAll(): Waiter[] {
    const all = this.#waiters;
    this.#waiters = [];
    return all;
  }
}

/** Upper bound of what a group takes in the segment. */
export function roomFor(waiters: readonly Waiter[]): number {
  let bytes = 0;
  for (const waiter of waiters) bytes += roomOf(waiter);
  return bytes;
}

export function roomOf({ bytes }: Pick<Waiter, "bytes">): number {
  return recordHeaderBytes + metadataBytesMax + bytes + 4 * pieceCount(bytes);
}

function needsRoom(change: CommitChange): boolean {
  return change.op === "put" && change.body instanceof Uint8Array;
}

function bodyBytesOf(change: CommitChange): number {
  if (change.op === "copy") return change.body.length;
  if (change.op !== "put") return 0;
  return change.body instanceof Uint8Array ? change.body.length : 0;
}
