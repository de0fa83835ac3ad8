import fs from "node:fs";
import { assert } from "../../runtime/base/assert.ts";
import { systemClock } from "../../runtime/base/clock.ts";
import { Fault } from "../../runtime/base/fault.ts";
import { systemRandom } from "../../runtime/base/random.ts";
import { realDisk } from "../../runtime/base/real-disk.ts";
import { GiB, MiB } from "../../runtime/base/units.ts";
import { segmentBytesMax } from "../../runtime/store/format.ts";
import { type ArtifactName, makeScope, nameArtifact } from "../../runtime/store/identity.ts";
import type { Maintenance } from "../../runtime/store/maintenance.ts";
import { NodeStore } from "../../runtime/store/node-store.ts";
import { SqliteHome } from "../../runtime/store/sqlite-home.ts";
import type { Body, Store } from "../../runtime/store/store.ts";
import { WorkerMaintenance } from "../../runtime/store/worker-maintenance.ts";
import { keyId, type LoadKey, parseKeyText, readFound, type Value } from "./load-surface.ts";

export type ImageReading = {
  readonly found: readonly { readonly key: string; readonly value: Value | null }[];
  /** Names of what the store said about this image. */
  readonly notes: ReadonlySet<string>;
  readonly wasRebuilt: boolean;
};

const options = {
  capacityBytes: 1_024 * GiB,
  manifestCacheBytesMax: 1 * MiB,
  bodyCacheBytesMax: 1 * MiB,
  indexCacheBytes: 1 * MiB,
  walBytesMax: 16 * MiB,
};

/** One check is enough for a whole body as for a damaged one. */
const checksMax = 3;

/**
 * Opens one image after the other at one path, with the real store in this process. All share one Worker, since to
 * start one costs more than all the rest of an image.
 */
export class ImageReader {
  readonly #dataDir: string;
  readonly #worker: WorkerMaintenance;
  readonly #jobs = new Set<Promise<unknown>>();

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    this.#worker = new WorkerMaintenance(dataDir, systemClock);
  }

  /** @throws when the store does not open or cannot be read. */
  async read(keys: Iterable<string>): Promise<ImageReading> {
    const notes = new Set<string>();
    let wasRebuilt = false;
    const note = (event: string, details: Record<string, unknown>): void => {
      notes.add(event);
      wasRebuilt ||= details.rebuilt === true;
    };
    const store = this.#open(note);
    try {
      await store.ready;
      // What tidies up after a start goes first: it may remove nothing that is needed.
      await this.#settleJobs();
      const found = [];
      for (const key of keys) found.push({ key, value: await readKey(store, parseKeyText(key)) });
      return { found, notes, wasRebuilt };
    } finally {
      await store.close();
    }
  }

  async close(): Promise<void> {
    await this.#worker.close();
  }

  #open(note: (event: string, details: Record<string, unknown>) => void): NodeStore {
    const dataDir = this.#dataDir;
    return new NodeStore(
      { ...options, dataDir, note },
      {
        disk: realDisk,
        clock: systemClock,
        random: systemRandom,
        home: new SqliteHome({ disk: realDisk, dataDir, cacheBytes: options.indexCacheBytes }),
        startMaintenance: () => this.#lendWorker(),
        nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
        segmentBytesMax,
        vainLookUpsMin: 1,
        ballastBytes: 0,
        lookMs: 0,
      },
    );
  }

  /** The Worker for one store: closing it ends its jobs and lets go of its index, no more. */
  #lendWorker(): Maintenance {
    const worker = this.#worker;
    let isClosed = false;
    const follow = <Result>(start: () => Promise<Result>): Promise<Result> => {
      // One job more would open the index of an image that is about to be removed, for the next store to read.
      if (isClosed) return Promise.reject(new Fault("unavailable", "The image was closed"));
      const job = start();
      const forget = (): void => void this.#jobs.delete(job);
      this.#jobs.add(job);
      job.then(forget, forget);
      return job;
    };
    return {
      checkpoint: () => follow(() => worker.checkpoint()),
      checkLarge: (path, expected) => follow(() => worker.checkLarge(path, expected)),
      findUnreferenced: (candidates) => follow(() => worker.findUnreferenced(candidates)),
      nextIds: (after, limit) => follow(() => worker.nextIds(after, limit)),
      readRecords: (path, range) => follow(() => worker.readRecords(path, range)),
      removeFile: (path) => follow(() => worker.removeFile(path)),
      writeHint: (path, bytes) => follow(() => worker.writeHint(path, bytes)),
      census: () => follow(() => worker.census()),
      nameScopes: (places) => follow(() => worker.nameScopes(places)),
      makeBallast: (path, sizeBytes) => follow(() => worker.makeBallast(path, sizeBytes)),
      scrub: (request) => follow(() => worker.scrub(request)),
      findRowsAt: (places) => follow(() => worker.findRowsAt(places)),
      silentSinceMs: () => null,
      releaseIndex: () => worker.releaseIndex(),
      close: async () => {
        isClosed = true;
        await this.#settleJobs();
        await worker.releaseIndex();
      },
    };
  }

  /** Also the jobs that ended ones lead to. */
  async #settleJobs(): Promise<void> {
    while (this.#jobs.size > 0) await Promise.allSettled(this.#jobs);
  }
}

async function readKey(store: Store, key: LoadKey): Promise<Value | null> {
  const name = nameOf(key);
  // A check that fails puts the row into quarantine: it must be looked for again, as a surface does.
  for (let tries = 0; tries < checksMax; tries++) {
    const manifest = store.find(name);
    if (manifest === null) return null;
    const body = store.open(manifest, 0, manifest.sizeBytes);
    switch (body.at) {
      case "check":
        await body.done;
        break;
      case "damaged":
        return null;
      case "bytes":
        return contentOf(key, body.bytes);
      case "slice":
        return contentOf(key, readStretch(body));
    }
  }
  throw new Error(
    `Cannot read ${name.key}: ${checksMax} checks of its body ended without a result`,
  );
}

function readStretch({ path, startBytes, endBytes }: Extract<Body, { at: "slice" }>): Uint8Array {
  return fs.readFileSync(path).subarray(startBytes, endBytes);
}

function contentOf(key: LoadKey, body: Uint8Array): Value | null {
  const found = readFound(key, { at: "answered", status: 200, contentType: "", body });
  assert(found.at === "value", "a body that was read says what the artifact is");
  return found.value;
}

/** The name under which the surface of a key stores it. */
function nameOf(key: LoadKey): ArtifactName {
  const scope = makeScope("default", key.namespace);
  switch (key.surface) {
    case "xcode":
      return nameArtifact("xcode", scope, `blob/${keyId(key)}`);
    case "keyvalue":
      return nameArtifact("xcode", scope, `action_cache/${keyId(key)}`);
    default:
      return nameArtifact(key.surface, scope, keyId(key));
  }
}
