import fs from "node:fs";
import path from "node:path";
import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { realDisk } from "../../runtime/base/real-disk.ts";
import { GiB, MiB } from "../../runtime/base/units.ts";
import { createLog } from "../../runtime/observe/log.ts";
import { MemoryPressure } from "../../runtime/observe/memory-pressure.ts";
import { MemorySensor } from "../../runtime/observe/memory-sensor.ts";
import { memorySources } from "../../runtime/observe/memory-sources.ts";
import { cacheShares, type MemoryTier } from "../../runtime/observe/memory-tier.ts";
import { watchMemory } from "../../runtime/server/memory-watch.ts";
import { makeTemporaryFolder } from "./node-process.ts";
import { SimClock } from "./sim-clock.ts";

const softMiB = 70;
const hardMiB = 90;
const stepMs = 100;
/** What a load fills as long as it may. */
const cacheMiBMax = 24;

type Line = Readonly<Record<string, unknown>>;

/**
 * A node whose memory is a sum of parts, told to the real watch through a file. Reads hold what they need and leave
 * garbage; writes do so as long as they are taken; caches fill and are shed; only a collection frees garbage.
 */
export class MemoryScene {
  readonly pressure: MemoryPressure;
  readonly lines: Line[] = [];
  readonly #clock = new SimClock();
  readonly #random: Random;
  readonly #folder = makeTemporaryFolder("memory");
  readonly #file: string;
  collections = 0;
  liveMiB = 0;
  garbageMiB = 0;
  foreignMiB = 0;
  #cacheMiB = 0;
  #isSpoilt = false;

  constructor(seed = 1, pin: MemoryTier | "auto" = "auto") {
    this.#random = seededRandom(seed);
    this.#file = path.join(this.#folder, "memory.stat");
    this.#tell();
    const clock = this.#clock;
    const write = (line: string): void => void this.lines.push(JSON.parse(line) as Line);
    const log = createLog({ clock, level: "info", repeatWindowMs: 0, write });
    const [own] = memorySources({ version: 2, folder: this.#folder, limitBytes: GiB });
    const sources = own === undefined ? [] : [own];
    this.pressure = new MemoryPressure({
      softBytes: softMiB * MiB,
      hardBytes: hardMiB * MiB,
      pin,
    });
    this.pressure.follow((tier) => {
      const keptMiB = Math.min(this.#cacheMiB, cacheMiBMax * cacheShares[tier]);
      // What is dropped is garbage until it is collected.
      this.garbageMiB += this.#cacheMiB - keptMiB;
      this.#cacheMiB = keptMiB;
    });
    const sensor = new MemorySensor({ disk: realDisk, log, sources });
    watchMemory({ clock, log, pressure: this.pressure, sensor, collect: () => this.#collect() });
  }

  /** Lets time pass, at least so long. */
  run(forMs: number): void {
    this.#tell();
    const endMs = this.#clock.monotonicMs() + forMs;
    while (this.#clock.monotonicMs() < endMs && this.#clock.step()) this.#tell();
  }

  /** Reads and writes of random size for so long. */
  load(forMs: number): void {
    for (let leftMs = forMs; leftMs > 0; leftMs -= stepMs) {
      const wantedMiB = this.#random.below(60) + (this.pressure.refusesWrites ? 0 : 40);
      this.garbageMiB = Math.min(80, this.garbageMiB + this.#random.below(4));
      this.liveMiB += (wantedMiB - this.liveMiB) / 8;
      const cacheMiB = cacheMiBMax * cacheShares[this.pressure.tier];
      this.#cacheMiB = Math.min(cacheMiB, this.#cacheMiB + 1);
      this.run(stepMs);
    }
  }

  /** What was held is garbage. */
  endLoad(): void {
    this.garbageMiB += this.liveMiB;
    this.liveMiB = 0;
  }

  /** From now on the file does not say what it should. */
  spoilFile(): void {
    this.#isSpoilt = true;
    this.#tell();
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }

  #collect(): void {
    this.collections += 1;
    this.garbageMiB = 0;
    this.#tell();
  }

  #tell(): void {
    const usedMiB = 10 + this.liveMiB + this.garbageMiB + this.foreignMiB + this.#cacheMiB;
    const text = `anon ${Math.round(usedMiB * MiB)}\n`;
    fs.writeFileSync(this.#file, this.#isSpoilt ? "nothing\n" : text);
  }
}
