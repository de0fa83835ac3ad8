import type { Clock } from "../base/clock.ts";
import type { Log } from "../observe/log.ts";
import type { MemoryPressure } from "../observe/memory-pressure.ts";
import type { MemorySensor } from "../observe/memory-sensor.ts";
import { isWorse, type MemoryTier } from "../observe/memory-tier.ts";

type StoryParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly pressure: MemoryPressure;
  readonly sensor: Pick<MemorySensor, "source">;
};

/** Writes down every change, with what an operator needs to judge the marks. */
export class MemoryStory {
  readonly #parts: StoryParts;
  #sinceMs: number;
  #highestBytes = 0;
  #refusedWrites = false;

  constructor(parts: StoryParts) {
    this.#parts = parts;
    this.#sinceMs = parts.clock.monotonicMs();
  }

  tell(before: MemoryTier): void {
    const { pressure, clock } = this.#parts;
    this.#highestBytes = Math.max(this.#highestBytes, pressure.usedBytes ?? 0);
    if (pressure.tier !== before) {
      this.#tellTier(before);
      this.#sinceMs = clock.monotonicMs();
      this.#highestBytes = pressure.usedBytes ?? 0;
    } else if (pressure.tier === "critical") this.#tellGate();
    this.#refusedWrites = pressure.refusesWrites;
  }

  #tellTier(before: MemoryTier): void {
    const { log, pressure, clock, sensor } = this.#parts;
    const { tier, usedBytes, marks } = pressure;
    const fields = {
      tier,
      before,
      used_bytes: usedBytes,
      soft_limit_bytes: marks.softBytes,
      hard_limit_bytes: marks.hardBytes,
      highest_bytes: this.#highestBytes,
      ms: Math.round(clock.monotonicMs() - this.#sinceMs),
      source: sensor.source,
    };
    if (isWorse(tier, before)) log.warn(`memory is ${tier}`, fields);
    else log.info(`memory is ${tier} again`, fields);
  }

  /** Refusing writes has not helped, or is tried again. */
  #tellGate(): void {
    const { log, pressure } = this.#parts;
    const { usedBytes, refusesWrites } = pressure;
    if (refusesWrites === this.#refusedWrites) return;
    if (refusesWrites) {
      log.warn("memory is critical and has grown: writes are refused again", {
        used_bytes: usedBytes,
      });
    } else {
      log.warn("memory is critical although writes were refused: they are taken again", {
        used_bytes: usedBytes,
      });
    }
  }
}
