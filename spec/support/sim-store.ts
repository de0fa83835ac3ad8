import { sleep } from "../../runtime/base/clock.ts";
import type { Disk } from "../../runtime/base/disk.ts";
import { asFault } from "../../runtime/base/fault.ts";
import type { Random } from "../../runtime/base/random.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import type { Census } from "../../runtime/store/census.ts";
import { checkLargeFile } from "../../runtime/store/check-large.ts";
import type { FileUser } from "../../runtime/store/file-users.ts";
import { writeHint } from "../../runtime/store/hint-file.ts";
import type { ArtifactName } from "../../runtime/store/identity.ts";
import type { IndexHome } from "../../runtime/store/index.ts";
import type { LargeExpectation, Maintenance } from "../../runtime/store/maintenance.ts";
import { NodeStore } from "../../runtime/store/node-store.ts";
import {
  emptyPage,
  type RecordPage,
  type RecordRange,
  readRecordPage,
} from "../../runtime/store/record-page.ts";
import {
  readScopeNames,
  type ScopeName,
  type ScopePlace,
} from "../../runtime/store/scope-names.ts";
import type { ScrubSettings } from "../../runtime/store/scrub.ts";
import { type DamagedPlace, type HitRow, isRowAt } from "../../runtime/store/scrub-place.ts";
import {
  type ScrubRequest,
  type ScrubSlice,
  scrubSlice,
  scrubSliceBytes,
} from "../../runtime/store/scrub-slice.ts";
import type { Body, Manifest } from "../../runtime/store/store.ts";
import { drive, SimClock, turn } from "./sim-clock.ts";
import { SimDisk } from "./sim-disk.ts";
import { PowerIsOff, SimCalls } from "./sim-disk-calls.ts";
import type { Survival } from "./sim-disk-file.ts";
import type { SimTree } from "./sim-disk-tree.ts";
import { type IndexRemains, SimIndexHome } from "./sim-index.ts";

export const simDataDir = "/data";

/** Breaks one seam on purpose: see planted.ts. */
export type Planted = (parts: { readonly disk: Disk; readonly home: IndexHome }) => {
  readonly disk: Disk;
  readonly home: IndexHome;
};

export type SimSettings = {
  readonly random: Random;
  readonly clock?: SimClock;
  readonly blockBytes?: number;
  readonly segmentBytesMax?: number;
  /** Unflushed transactions at which a checkpoint begins that groups wait for. */
  readonly walBytesMax?: number;
  readonly ballastBytes?: number;
  readonly capacityBytes?: number;
  readonly planted?: Planted | null;
  readonly scrub?: ScrubSettings;
  readonly fileUsers?: readonly FileUser[];
  /** A real turn of the loop, where something might go on and on without one; by default as short as can be. */
  readonly nextTurn?: () => Promise<void>;
};

/** What a life leaves to the next. */
export type Remains = {
  readonly tree: SimTree;
  readonly home: SimIndexHome;
  readonly calls: SimCalls;
};

export type SimNote = { readonly event: string; readonly details: Record<string, unknown> };

/** One life of a process: a whole store over a simulated disk, index and clock. */
export class SimStore {
  readonly calls: SimCalls;
  readonly clock: SimClock;
  readonly disk: SimDisk;
  readonly home: SimIndexHome;
  readonly notes: SimNote[] = [];
  readonly store: NodeStore;
  readonly #settings: SimSettings;

  constructor(settings: SimSettings, remains: Remains = freshRemains()) {
    const { random, blockBytes = 512 } = settings;
    this.#settings = settings;
    this.calls = remains.calls;
    this.home = remains.home;
    this.clock = settings.clock ?? new SimClock();
    const { calls, clock } = this;
    this.disk = new SimDisk({ calls, clock, random, blockBytes }, remains.tree);
    const plant: Planted = settings.planted ?? ((parts) => parts);
    const { disk, home } = plant({ disk: this.disk, home: this.home });
    this.store = new NodeStore(
      {
        dataDir: simDataDir,
        capacityBytes: settings.capacityBytes ?? 512 * MiB,
        manifestCacheBytesMax: 8 * KiB,
        bodyCacheBytesMax: 64 * KiB,
        indexCacheBytes: MiB,
        walBytesMax: settings.walBytesMax ?? 64 * MiB,
        ...(settings.scrub === undefined ? {} : { scrub: settings.scrub }),
        fileUsers: settings.fileUsers ?? [],
        note: (event, details) => {
          if (!calls.isOff) this.notes.push({ event, details });
        },
      },
      {
        disk,
        clock,
        random,
        home,
        startMaintenance: () =>
          new SimMaintenance({ ...settings, disk: this.disk, home: this.home, clock, calls }),
        nextTurn: settings.nextTurn ?? (() => Promise.resolve()),
        segmentBytesMax: settings.segmentBytesMax ?? 24 * KiB,
        vainLookUpsMin: 1,
        ballastBytes: settings.ballastBytes ?? 0,
        lookMs: 0,
      },
    );
    this.store.ready.catch(() => {});
  }

  /** Waits for the first recovery; false when the machine went off meanwhile. @throws what the store failed with. */
  async ready(): Promise<boolean> {
    try {
      return (await drive(this.clock, this.store.ready)) !== null;
    } catch (error) {
      if (this.calls.isOff) return false;
      throw error;
    }
  }

  /** Steps the clock until `isTrue`, nothing waits any more, or the time is up. */
  async until(isTrue: () => boolean, withinMs = 60_000): Promise<boolean> {
    const endMs = this.clock.monotonicMs() + withinMs;
    await turn();
    while (!isTrue()) {
      if (this.clock.monotonicMs() > endMs || this.calls.isOff || !this.clock.step()) return false;
      await turn();
    }
    return true;
  }

  /** The whole body of what a name stands for; null for a miss, and when the machine went off meanwhile. */
  async read(name: ArtifactName): Promise<Uint8Array | "damaged" | null> {
    try {
      const manifest = this.store.find(name);
      return manifest === null ? null : await this.#bodyOf(manifest);
    } catch (error) {
      if (this.calls.isOff) return null;
      throw error;
    }
  }

  /** Switches the machine off and gives what is left of its disk, and of its index without the last transactions. */
  powerCut(survival: Survival, lostTransactions: number): Remains {
    const tree = this.disk.crash(survival);
    return remainsOf(tree, this.home.crash(lostTransactions));
  }

  kill(): Remains {
    const calls = new SimCalls();
    return { tree: this.disk.kill(), home: this.home.kill(calls), calls };
  }

  /** A later life on the same clock: time goes on. */
  next(remains: Remains): SimStore {
    return new SimStore({ ...this.#settings, clock: this.clock }, remains);
  }

  async #bodyOf(manifest: Manifest): Promise<Uint8Array | "damaged"> {
    for (let tries = 0; tries < 3; tries++) {
      const body: Body = this.store.open(manifest, 0, manifest.sizeBytes);
      switch (body.at) {
        case "bytes":
          return Uint8Array.from(body.bytes);
        case "slice":
          return this.disk.readStretch(body.path, body.startBytes, body.endBytes);
        case "damaged":
          return "damaged";
        case "check":
          await drive(this.clock, body.done);
      }
      // A failed check quarantines the artifact: it is a miss from then on, which only damage can explain.
      if (tries === 1) return "damaged";
    }
    return "damaged";
  }
}

export function remainsOf(tree: SimTree, index: IndexRemains | null): Remains {
  const calls = new SimCalls();
  return { tree, home: new SimIndexHome(calls, index), calls };
}

function freshRemains(): Remains {
  const calls = new SimCalls();
  const disk = new SimDisk({
    calls,
    clock: new SimClock(),
    random: { below: () => 0, bytes: () => new Uint8Array(0) },
  });
  disk.makeFolder(simDataDir);
  disk.syncFolder("/");
  const fresh = new SimCalls();
  return { tree: disk.kill(), home: new SimIndexHome(fresh), calls: fresh };
}

const walkMs = 20;

/** One for all lives: a run of seeds makes thousands. */
const scrubWindow = new Uint8Array(scrubSliceBytes);

function toTheEnd<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

type SimMaintenanceParts = {
  readonly disk: SimDisk;
  readonly home: SimIndexHome;
  readonly clock: SimClock;
  readonly calls: SimCalls;
  readonly nextTurn?: () => Promise<void>;
};

/** Maintenance in place: every job runs to its end at once. */
class SimMaintenance implements Maintenance {
  readonly #disk: SimDisk;
  readonly #home: SimIndexHome;
  readonly #clock: SimClock;
  readonly #calls: SimCalls;
  readonly #nextTurn: (() => Promise<void>) | null;

  constructor(parts: SimMaintenanceParts) {
    this.#disk = parts.disk;
    this.#clock = parts.clock;
    this.#home = parts.home;
    this.#calls = parts.calls;
    this.#nextTurn = parts.nextTurn ?? null;
  }

  async checkpoint(): Promise<void> {
    const failure = this.#calls.begin("checkpoint", "index");
    if (failure !== null) throw new Error("the simulated checkpoint could not sync");
    this.#home.flush();
  }

  async checkLarge(path: string, expected: LargeExpectation): Promise<boolean> {
    const file = this.#disk.open(path, "read");
    if (file === null) return false;
    return toTheEnd(checkLargeFile(file, expected));
  }

  async findUnreferenced(candidates: readonly number[]): Promise<number[]> {
    if (this.#calls.isOff) throw new PowerIsOff();
    const named = this.#home.namedFiles();
    return candidates.filter((file) => !named.has(file));
  }

  async nextIds(after: Uint8Array, limit: number): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#calls.isOff) throw new PowerIsOff();
    const ids = this.#home.idsAfter(after).slice(0, limit);
    const packed = new Uint8Array(32 * ids.length);
    for (const [i, id] of ids.entries()) packed.set(id, 32 * i);
    return packed;
  }

  async readRecords(path: string, range: RecordRange): Promise<RecordPage> {
    if (this.#calls.isOff) throw new PowerIsOff();
    if (this.#nextTurn !== null) await this.#nextTurn();
    const file = this.#disk.open(path, "read");
    return file === null ? emptyPage : toTheEnd(readRecordPage(file, range, 16));
  }

  async removeFile(path: string): Promise<void> {
    if (this.#nextTurn !== null) await this.#nextTurn();
    this.#disk.remove(path);
  }

  async writeHint(path: string, bytes: Uint8Array): Promise<void> {
    writeHint(this.#disk, path, bytes);
  }

  async census(): Promise<Census> {
    if (this.#calls.isOff) throw new PowerIsOff();
    return this.#home.census();
  }

  async nameScopes(places: readonly ScopePlace[]): Promise<(ScopeName | null)[]> {
    return toTheEnd(readScopeNames(this.#disk, places));
  }

  async scrub(request: ScrubRequest): Promise<ScrubSlice> {
    if (this.#calls.isOff) throw new PowerIsOff();
    return toTheEnd(scrubSlice(this.#disk, request, scrubWindow));
  }

  async findRowsAt(places: readonly DamagedPlace[]): Promise<HitRow[]> {
    if (this.#calls.isOff) throw new PowerIsOff();
    const rows = this.#home.rows();
    // A walk through the index takes its time, and what it saw may be overwritten when it is told.
    await sleep(this.#clock, walkMs);
    return places.flatMap((place, number) =>
      rows.filter((row) => isRowAt(place, row)).map((row) => ({ ...row, place: number })),
    );
  }

  async makeBallast(path: string, sizeBytes: number): Promise<void> {
    if (this.#disk.sizeBytes(path) === sizeBytes) return;
    this.#disk.remove(path);
    const file = this.#disk.create(path);
    try {
      file.write(new Uint8Array(sizeBytes), 0);
    } catch (error) {
      this.#disk.remove(path);
      throw asFault(error);
    }
  }

  silentSinceMs(): null {
    return null;
  }

  async releaseIndex(): Promise<void> {}

  async close(): Promise<void> {}
}
