import type { Clock } from "../base/clock.ts";
import { day, MiB } from "../base/units.ts";
import { IdSet } from "./id-set.ts";
import { idPrefix } from "./identity.ts";

/** Memory of both generations: 730,000 ghosts. */
const bytesMax = 4 * MiB;
/** A ghost is remembered at least half a week, and a week at most. @source design.md 2. */
const generationMs = 3.5 * day;

/** Ids of what was evicted, so that a miss can say that the artifact was once here. */
export class Ghosts {
  readonly #clock: Clock;
  #young = new IdSet(bytesMax / 2, true);
  #old = new IdSet(bytesMax / 2);
  #turnedMs: number;
  /** Raised with every change: what was saved at a revision needs no saving again. */
  revision = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#turnedMs = clock.wallMs();
  }

  get count(): number {
    return this.#young.count + this.#old.count;
  }

  add(id: Uint8Array): void {
    const nowMs = this.#clock.wallMs();
    if (this.#young.isFull || nowMs - this.#turnedMs >= generationMs) {
      this.#old = this.#young;
      this.#young = new IdSet(bytesMax / 2, true);
      this.#turnedMs = nowMs;
    }
    if (this.#young.add(idPrefix(id))) this.revision += 1;
  }

  has(id: Uint8Array): boolean {
    const key = idPrefix(id);
    return this.#young.has(key) || this.#old.has(key);
  }

  /** What a later process needs to go on: when the young ones began, the young, the old. */
  save(): Uint8Array<ArrayBuffer> {
    const oldAt = headBytes + this.#young.savedBytes;
    const saved = new Uint8Array(oldAt + this.#old.savedBytes);
    new DataView(saved.buffer).setFloat64(0, this.#turnedMs, true);
    this.#young.saveInto(saved, headBytes);
    this.#old.saveInto(saved, oldAt);
    return saved;
  }

  /** False when this is not what `save` gave; then nothing is taken. */
  load(saved: Uint8Array): boolean {
    if (saved.length < headBytes) return false;
    const [young, old] = [new IdSet(bytesMax / 2, true), new IdSet(bytesMax / 2)];
    const youngBytes = young.restore(saved.subarray(headBytes));
    if (youngBytes < 0 || old.restore(saved.subarray(headBytes + youngBytes)) < 0) return false;
    const turnedMs = new DataView(saved.buffer, saved.byteOffset, headBytes).getFloat64(0, true);
    this.#young = young;
    this.#old = old;
    this.#turnedMs = Math.min(turnedMs, this.#clock.wallMs());
    return true;
  }
}

const headBytes = 8;
