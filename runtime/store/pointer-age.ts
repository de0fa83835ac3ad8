import type { Clock } from "../base/clock.ts";
import { day, minute } from "../base/units.ts";
import type { ReadMarks } from "./read-marks.ts";
import { kinds, type Manifest } from "./store.ts";
import { versionOfWall } from "./version.ts";

/** A pointer that was neither written nor used for so long is not believed any more. @source storage-and-mesh.md 1.9. */
export const pointerAgeMsMax = 30 * day;
/** How late a pointer may be found to be too old. */
const lookMs = 1 * minute;

/**
 * The age limit of pointers: an action result, a key-value document or a tool's own entry that nobody has written or
 * used for 30 days is not there. What is used is marked as read, and marks are the only thing that is asked.
 */
export class PointerAge {
  readonly #clock: Clock;
  readonly #marks: ReadMarks;
  #floorVersion: number;
  #lookedMs: number;

  constructor(clock: Clock, marks: ReadMarks) {
    this.#clock = clock;
    this.#marks = marks;
    this.#lookedMs = clock.monotonicMs();
    this.#floorVersion = this.#floorNow();
  }

  /** Pointers from below this version count only while they are used. */
  get floorVersion(): number {
    return this.#floorVersion;
  }

  /** Moves the floor on; called now and then, not for every look-up. */
  look(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lookedMs < lookMs) return;
    this.#lookedMs = nowMs;
    this.#floorVersion = this.#floorNow();
  }

  /** For a row below the floor: whether it is a pointer that nobody uses. */
  isForgotten({ kind, id }: Pick<Manifest, "kind" | "id">): boolean {
    return kind !== kinds.blob && this.#marks.levelOf(id) === 0;
  }

  #floorNow(): number {
    return versionOfWall(this.#clock.wallMs() - pointerAgeMsMax);
  }
}
