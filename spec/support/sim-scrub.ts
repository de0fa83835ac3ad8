import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { KiB, minute } from "../../runtime/base/units.ts";
import { bytesKey } from "../../runtime/store/identity.ts";
import { pieceCount, recordHeaderBytes } from "../../runtime/store/record.ts";
import type { ScrubSettings } from "../../runtime/store/scrub.ts";
import { type Manifest, manifestFlags } from "../../runtime/store/store.ts";
import { Model } from "./model.ts";
import { type Remains, SimStore, simDataDir } from "./sim-store.ts";
import { nameOf, randomSteps, ScriptedClients } from "./sim-store-script.ts";

/** Cycles begin only when they are asked for. */
const whenAsked: ScrubSettings = { bytesPerSecond: 0, cycleMsMin: 0 };
const cycleMsMax = 10 * minute;

/** A simulated store that scrubs, with clients and a model of what they wrote. */
export class ScrubScene {
  readonly random: Random;
  readonly sim: SimStore;
  readonly model: Model;
  readonly clients: ScriptedClients;

  private constructor(random: Random, sim: SimStore, model: Model) {
    this.random = random;
    this.sim = sim;
    this.model = model;
    this.clients = new ScriptedClients(sim, model);
  }

  static async start(seed: number, scrub = whenAsked): Promise<ScrubScene> {
    const random = seededRandom(seed);
    const sim = new SimStore({ random, segmentBytesMax: 12 * KiB, scrub });
    await sim.ready();
    return new ScrubScene(random, sim, new Model());
  }

  /** The next life, after a kill. */
  async restart(): Promise<ScrubScene> {
    const remains: Remains = this.sim.kill();
    const next = new ScrubScene(this.random, this.sim.next(remains), this.model);
    await next.sim.ready();
    return next;
  }

  /** Overwrites, deletes, cleans, large files, aborted uploads. */
  async write(stepCount = 80): Promise<void> {
    await this.clients.run(randomSteps(this.random, stepCount));
  }

  get report() {
    return this.sim.store.scrub.report();
  }

  /** Waits until the scrub runs by itself, which it does not at once. */
  async started(): Promise<void> {
    if (!(await this.sim.until(() => this.report.state === "running", minute))) {
      throw new Error("The scrub did not start");
    }
  }

  /** Waits for the end of a cycle that begins after this call. */
  async cycle(): Promise<void> {
    const { cycles } = this.report;
    this.sim.store.scrub.startNow();
    const hasEnded = await this.sim.until(() => this.report.cycles > cycles, cycleMsMax);
    if (!hasEnded) throw new Error("The cycle did not end");
  }

  /** Every artifact that can be read now, by its id. */
  live(): Map<string, Manifest> {
    const found = new Map<string, Manifest>();
    for (const { scope, key } of this.model.keys()) {
      const manifest = this.sim.store.find(nameOf(scope, key));
      if (manifest !== null) found.set(bytesKey(manifest.id), manifest);
    }
    return found;
  }

  /** Flips a bit somewhere in the data files; returns the ids of live artifacts whose bytes these were. */
  flip(): string[] {
    const { disk, store } = this.sim;
    const paths = ["segments", "large"].flatMap((folder) =>
      disk.list(`${simDataDir}/${folder}`).map((name) => `${simDataDir}/${folder}/${name}`),
    );
    const path = paths[this.random.below(paths.length)] ?? "";
    const at = this.random.below(disk.sizeBytes(path) ?? 1);
    const file = disk.open(path, "readWrite");
    const byte = new Uint8Array(1);
    file?.read(byte, at);
    byte[0]! ^= 1 << this.random.below(8);
    file?.write(byte, at);
    file?.close();
    if (store.state().at !== "serving") throw new Error("A flip is for a store that serves");
    return [...this.live()].filter(([, row]) => isWithin(row, path, at)).map(([id]) => id);
  }
}

function isWithin(row: Manifest, path: string, at: number): boolean {
  const number = Number.parseInt(path.slice(path.lastIndexOf("/") + 1), 10);
  if (row.file !== number) return false;
  if ((row.flags & manifestFlags.large) !== 0) return true;
  const { offsetBytes, metadataBytes, sizeBytes } = row;
  const lengthBytes = recordHeaderBytes + metadataBytes + sizeBytes + 4 * pieceCount(sizeBytes);
  return at >= offsetBytes && at < offsetBytes + lengthBytes;
}
