import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { ByteBudget } from "../../runtime/base/budget.ts";
import { type Clock, systemClock, type Timer } from "../../runtime/base/clock.ts";
import { Descriptors } from "../../runtime/base/descriptors.ts";
import { systemRandom } from "../../runtime/base/random.ts";
import { realDisk } from "../../runtime/base/real-disk.ts";
import { loadConfig } from "../../runtime/config/load.ts";
import { findMachine } from "../../runtime/config/machine.ts";
import type { Config } from "../../runtime/config/table.ts";
import { createLog } from "../../runtime/observe/log.ts";
import { NodeLife } from "../../runtime/observe/node-status.ts";
import { uploadLimits } from "../../runtime/server/compose.ts";
import { openStore } from "../../runtime/store/open.ts";
import type { Store } from "../../runtime/store/store.ts";
import { createAdminHandler } from "../../runtime/surface/admin/app.ts";
import { createHttpHandler } from "../../runtime/surface/http/handler.ts";
import { createHttpMetrics } from "../../runtime/surface/http/http-metrics.ts";
import { SendFiles } from "../../runtime/surface/http/send-files.ts";
import { createLedger } from "../../runtime/surface/ledger.ts";
import { listenHttp } from "../../runtime/wire/http1/listener.ts";

/** A node in this process: the real surface over sockets, on the real store in a folder of its own. */
export type SpecServer = AsyncDisposable & {
  readonly url: string;
  readonly port: number;
  readonly config: Config;
  readonly life: NodeLife;
  readonly store: Store;
  readonly budget: ByteBudget;
  readonly gathering: ByteBudget;
  readonly reads: ByteBudget;
  readonly documents: ByteBudget;
  readonly dataDir: string;
  /** What the node logged, one line each. */
  readonly logLines: readonly string[];
  /** Asks the admin routes, past the socket. */
  readonly admin: (method: string, path: string) => Promise<Response>;
  /** One line of the exposition by its beginning, as a number; 0 when it is not there. */
  readonly metric: (beginning: string) => Promise<number>;
};

export type ServerOptions = {
  /** Settings beside those of a fresh node. */
  readonly env?: Readonly<Record<string, string>>;
  /** Puts something in front of the store, such as a fault that no disk on this machine has. */
  readonly inFront?: (store: Store) => Store;
  /** The clock of the surface; the store always has the real one. */
  readonly clock?: Clock;
  /** Leaves the node in this phase; `serving` unless told. */
  readonly phase?: "recovering" | "serving";
};

export async function startServer(options: ServerOptions = {}): Promise<SpecServer> {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "kura-spec-"));
  const env = { KURA_DATA_DIR: dataDir, KURA_PORT: "0", ...options.env };
  const loaded = loadConfig({ env, machine: findMachine(realDisk) });
  if (loaded.problems.length > 0) throw new Error(loaded.problems.join("\n"));
  const { config } = loaded;
  const clock = options.clock ?? systemClock;
  const logLines: string[] = [];
  const log = createLog({
    clock,
    level: "warn",
    repeatWindowMs: 0,
    write: (line) => logLines.push(line),
  });
  const descriptors = new Descriptors({
    count: config.descriptorPoolSize,
    waitMsMax: config.descriptorWaitMsMax,
    clock,
  });
  const files = new SendFiles({ disk: realDisk, clock, descriptors });
  const realStore = await openRealStore(config, files);
  const store = options.inFront?.(realStore) ?? realStore;
  const life = makeLife(config);
  if ((options.phase ?? "serving") === "serving") life.advance("serving");
  const ledger = createLedger(config.uploadMemoryBytesMax, clock);
  const { httpUploads: budget, httpGathering: gathering, reads, documents } = ledger;
  const metrics = createHttpMetrics({ status: life, ledger, store: () => store });
  const shared = { config, store: () => store, status: life, log };
  const memory = { budget, gathering, reads, documents };
  const rest = { files, random: systemRandom, metrics, descriptors, ...memory };
  const server = listenHttp({
    hostname: "127.0.0.1",
    port: 0,
    clock,
    idleMsMax: config.httpIdleMsMax,
    handler: createHttpHandler({ ...shared, clock, ...rest }),
  });
  const admin = createAdminHandler({ ...shared, loaded, clock, metrics });
  return {
    url: `http://127.0.0.1:${server.port}`,
    port: server.port,
    config,
    life,
    store,
    budget,
    gathering,
    reads,
    documents,
    dataDir,
    logLines,
    admin: (method, target) => admin(new Request(`http://kura${target}`, { method })),
    async metric(beginning) {
      const lines = (await metrics.render()).split("\n");
      const line = lines.find((one) => one.startsWith(beginning) && !one.startsWith("#"));
      return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(" ") + 1));
    },
    async [Symbol.asyncDispose]() {
      server.stop(true);
      await realStore.close();
      fs.rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

function makeLife(config: Config): NodeLife {
  const { tenant, region, nodeUrl, insecureNoAuth: isInsecure } = config;
  return new NodeLife({ tenant, region, nodeUrl, version: "0.0.0-spec", isInsecure }, () => null);
}

async function openRealStore(config: Config, files: SendFiles): Promise<Store> {
  const store = openStore(
    {
      dataDir: config.dataDir,
      capacityBytes: config.capacityBytes,
      manifestCacheBytesMax: config.manifestCacheBytesMax,
      bodyCacheBytesMax: config.bodyCacheBytesMax,
      indexCacheBytes: config.indexReadCacheBytes,
      walBytesMax: config.indexWriteBufferPoolBytes,
      fileUsers: [files],
      uploadLimits: uploadLimits(config),
      note: () => {},
    },
    { disk: realDisk, clock: systemClock, random: systemRandom },
  );
  await store.ready;
  return store;
}

type SteppedTimer = { dueMs: number; periodMs: number | null; run: () => void };

/** Time that stands still until it is stepped; for the surface, whose waits are long. */
export class SteppedClock implements Clock {
  #nowMs = 1_000_000;
  #timers: SteppedTimer[] = [];

  wallMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#add({ dueMs: this.#nowMs + delayMs, periodMs: null, run });
  }

  every(periodMs: number, run: () => void): Timer {
    return this.#add({ dueMs: this.#nowMs + periodMs, periodMs, run });
  }

  /** Goes on by `stepMs` and runs what falls due on the way, in order. */
  step(stepMs: number): void {
    const endMs = this.#nowMs + stepMs;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.dueMs <= endMs);
      const next = due.reduce<SteppedTimer | null>(
        (first, timer) => (first === null || timer.dueMs < first.dueMs ? timer : first),
        null,
      );
      if (next === null) break;
      this.#nowMs = next.dueMs;
      if (next.periodMs === null) this.#remove(next);
      else next.dueMs += next.periodMs;
      next.run();
    }
    this.#nowMs = endMs;
  }

  #add(timer: SteppedTimer): Timer {
    this.#timers.push(timer);
    return { cancel: () => this.#remove(timer) };
  }

  #remove(timer: SteppedTimer): void {
    this.#timers = this.#timers.filter((one) => one !== timer);
  }
}

/** Looks until it is so; for what happens a moment after an answer. */
export async function eventually(
  what: string,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`It did not happen in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
