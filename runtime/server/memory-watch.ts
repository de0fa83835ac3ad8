import type { Clock, Timer } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { findLimitingGroup } from "../config/memory-group.ts";
import type { Config } from "../config/table.ts";
import type { Log } from "../observe/log.ts";
import { MemoryPressure } from "../observe/memory-pressure.ts";
import { MemorySensor } from "../observe/memory-sensor.ts";
import { memorySources } from "../observe/memory-sources.ts";
import { collectGarbage } from "./garbage.ts";
import { MemoryStory } from "./memory-story.ts";
import { PressedCollector } from "./pressed-collector.ts";

/** @source storage-and-mesh.md 3.2. */
const lookPeriodMs = 200;

export type MemoryWatchParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly pressure: MemoryPressure;
  readonly sensor: Pick<MemorySensor, "read" | "source">;
  /** Frees what nobody holds any more. */
  readonly collect: () => void;
};

/** Looks at the memory in use for as long as the node lives, and tells those who shed. */
export function watchMemory(parts: MemoryWatchParts): Timer {
  const { clock, pressure, sensor } = parts;
  const story = new MemoryStory(parts);
  const collector = new PressedCollector(parts);
  const look = (): void => {
    const tier = pressure.tier;
    pressure.note(sensor.read(), clock.monotonicMs());
    story.tell(tier);
    collector.look(tier);
  };
  look();
  return clock.every(lookPeriodMs, look);
}

/** The watch over the memory of this process, or of the control group whose limit it lives under. */
export function watchOwnMemory(parts: {
  readonly config: Config;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
}): MemoryPressure {
  const { config, disk, clock, log } = parts;
  const { memorySoftBytes, memoryHardBytes, memoryPressurePin } = config;
  const group = findLimitingGroup(disk);
  if (group !== null && group.limitBytes < memoryHardBytes) {
    log.warn("the system may end this node before it sheds: the hard limit is above its own", {
      hard_limit_bytes: memoryHardBytes,
      limit_bytes: group.limitBytes,
    });
  }
  const pressure = new MemoryPressure({
    softBytes: memorySoftBytes,
    hardBytes: memoryHardBytes,
    pin: memoryPressurePin,
  });
  const sensor = new MemorySensor({ disk, log, sources: memorySources(group) });
  watchMemory({ clock, log, pressure, sensor, collect: collectGarbage });
  return pressure;
}
