import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { KiB } from "../../runtime/base/units.ts";
import type { Change, Manifest, Outcome, StagedBody } from "../../runtime/store/store.ts";
import { drive, turn } from "./sim-clock.ts";
import { type Remains, type SimSettings, SimStore } from "./sim-store.ts";
import { nameOf } from "./sim-store-script.ts";

export const evictionScope = "a/one";
export const evictionCapacity = 512 * KiB;
const segmentBytesMax = 32 * KiB;

/** A small store that is written to past its capacity, and what was written to it. */
export class EvictionRun {
  readonly sim: SimStore;
  readonly random: Random;
  readonly settings: SimSettings;
  /** Bodies by key, as they were acknowledged last; null after an acknowledged delete. */
  readonly bodies: Map<string, Uint8Array | null>;
  /** The most that was in use after any write. */
  usedBytesMost = 0;

  private constructor(
    sim: SimStore,
    settings: SimSettings,
    bodies: Map<string, Uint8Array | null>,
  ) {
    this.sim = sim;
    this.settings = settings;
    this.random = settings.random;
    this.bodies = bodies;
  }

  static async start(
    seed: number,
    capacityBytes = evictionCapacity,
    more: Partial<SimSettings> = {},
  ): Promise<EvictionRun> {
    const settings = { random: seededRandom(seed), segmentBytesMax, capacityBytes, ...more };
    const sim = new SimStore(settings);
    await sim.ready();
    return new EvictionRun(sim, settings, new Map());
  }

  /** The next life of the same store. */
  async next(remains: Remains): Promise<EvictionRun> {
    const sim = this.sim.next(remains);
    await sim.ready();
    return new EvictionRun(sim, this.settings, this.bodies);
  }

  async put(key: string, sizeBytes: number): Promise<Outcome> {
    const body = this.random.bytes(sizeBytes);
    const outcome = await this.commit({ ...putOf(key), body });
    this.bodies.set(key, body);
    return outcome;
  }

  async putLarge(key: string, sizeBytes: number): Promise<void> {
    const body = this.random.bytes(sizeBytes);
    const { store, clock } = this.sim;
    const change = putOf(key);
    const write = async (): Promise<StagedBody> => {
      const stage = store.stage(sizeBytes);
      await stage.write(body);
      return await stage.finish(change.name, change);
    };
    const staged = await drive(clock, write());
    if (staged === null) throw new Error("the stage did not end");
    await this.commit({ ...change, body: staged.value });
    this.bodies.set(key, body);
  }

  async delete(key: string): Promise<void> {
    await this.commit({ op: "delete", name: nameOf(evictionScope, key), kind: "nx" });
    this.bodies.set(key, null);
  }

  async commit(change: Change): Promise<Outcome> {
    const ended = await drive(this.sim.clock, this.sim.store.commit(change));
    if (ended === null) throw new Error("the commit did not end");
    this.usedBytesMost = Math.max(this.usedBytesMost, this.sim.store.usage().usedBytes);
    return ended.value;
  }

  /** Fresh keys with bodies of 1 to 2,048 bytes until so many bytes were written. */
  async fill(prefix: string, bytes: number): Promise<string[]> {
    const keys: string[] = [];
    for (let written = 0; written < bytes; ) {
      const sizeBytes = 1 + this.random.below(2 * KiB);
      keys.push(`${prefix}-${keys.length}`);
      await this.put(keys.at(-1)!, sizeBytes);
      written += sizeBytes;
    }
    return keys;
  }

  /** Lets the store do by itself what it would do in so much time. */
  async pass(ms: number): Promise<void> {
    const { clock, store } = this.sim;
    const endMs = clock.monotonicMs() + ms;
    clock.after(ms, () => {});
    while (clock.monotonicMs() < endMs && clock.step()) {
      await turn();
      this.usedBytesMost = Math.max(this.usedBytesMost, store.usage().usedBytes);
    }
  }

  find(key: string): Manifest | null {
    return this.sim.store.find(nameOf(evictionScope, key));
  }

  /** How a key reads: "right" when it has the bytes that were acknowledged last. */
  async read(key: string): Promise<"right" | "missing" | "wrong"> {
    const found = await this.sim.read(nameOf(evictionScope, key));
    if (found === null) return "missing";
    const wanted = this.bodies.get(key);
    if (found === "damaged" || wanted === null || wanted === undefined) return "wrong";
    return Buffer.compare(found, wanted) === 0 ? "right" : "wrong";
  }

  async readAll(keys: Iterable<string>): Promise<Record<"right" | "missing" | "wrong", number>> {
    const counts = { right: 0, missing: 0, wrong: 0 };
    for (const key of keys) counts[await this.read(key)] += 1;
    return counts;
  }
}

export function putOf(key: string): Extract<Change, { op: "put" }> {
  return {
    op: "put",
    name: nameOf(evictionScope, key),
    kind: "nx",
    sha256: null,
    attributes: { tag: key },
    writer: "",
    rule: "lastWins",
    contentType: "application/octet-stream",
    body: new Uint8Array(0),
  };
}
