import type { Server } from "bun";
import { type Clock, sleep } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { asFault, Fault } from "../base/fault.ts";
import type { LoopSteps } from "../base/loop-steps.ts";
import type { Random } from "../base/random.ts";
import { second } from "../base/units.ts";
import type { Config } from "../config/table.ts";
import type { Log } from "../observe/log.ts";
import type { NodeLife } from "../observe/node-status.ts";
import type { DirectoryLock } from "../store/lock.ts";
import type { Store } from "../store/store.ts";
import type { ConnectionLimit } from "../wire/connection-limit.ts";
import type { HttpHandler } from "../wire/http1/connection.ts";
import type { HttpListener } from "../wire/http1/listener.ts";
import { claimAdminSocket, dropAdminSocket } from "./admin-socket.ts";
import { takeDataDirectory } from "./data-directory.ts";
import { waitUntilIdle } from "./drain.ts";
import { ownGarbage, watchGarbage } from "./garbage.ts";
import { greeting, publicUrl } from "./greeting.ts";
import type { GrpcPort } from "./grpc-port.ts";
import { type AdminHandler, listenAdmin, listenPublic } from "./listeners.ts";
import { watchLoop } from "./loop-lag.ts";
import type { PublicTls } from "./public-tls.ts";
import type { Signals } from "./signals.ts";
import { logModes, reportStore } from "./store-health.ts";

/** Everything a node is made of, so that its life can be told apart from its parts. */
export type NodeParts = {
  readonly config: Config;
  readonly version: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly life: NodeLife;
  readonly signals: Signals;
  /** To stdout. */
  readonly print: (text: string) => void;
  readonly publicHandler: HttpHandler;
  /** How long maintenance holds its loop. */
  readonly steps: LoopSteps;
  /** How many connections its ports take. */
  readonly connections: ConnectionLimit;
  /** Null without a certificate. */
  readonly publicTls: PublicTls | null;
  readonly adminHandler: AdminHandler;
  readonly grpcPort: GrpcPort;
  /** Returns at once; the store recovers by itself. Called when the ports are bound. */
  readonly openStore: () => OpenedStore;
};

export type OpenedStore = {
  readonly store: Store;
  /** Settles when the recovery has ended; rejects with the reason why there will be no store. */
  readonly recovered: Promise<void>;
};

/** How late `/ready` may learn that the store takes no writes. */
const storeLookMs = 250;
/** What was acknowledged is on disk before this begins, so a store that cannot close loses nothing by the exit. */
const storeCloseMsMax = 30 * second;

type Running = {
  readonly lock: DirectoryLock;
  readonly publicServer: HttpListener;
  readonly adminServer: Server<undefined>;
  readonly opened: OpenedStore;
};

/**
 * Runs a node from its first byte to its last; resolves when it has ended as it was asked to.
 * @throws Fault "dataDirectory", "locked", "portInUse", "configuration" or "formatTooNew" when it cannot start.
 */
export async function runNode(parts: NodeParts): Promise<void> {
  const { config, clock, log } = parts;
  const startedMs = clock.monotonicMs();
  const running = await start(parts);
  const ended = followLife(parts, running, startedMs);
  try {
    // A refusal that is found at once, such as a newer format, is told before anything is said to work.
    await Promise.race([ended, oneTurn()]);
    const url = publicUrl("http", config, running.publicServer.port);
    const tls = parts.publicTls;
    const tlsUrl = tls === null ? null : publicUrl("https", config, tls.port);
    const { grpcPort } = parts;
    const grpcUrl = publicUrl(grpcPort.scheme, config, grpcPort.port);
    parts.print(greeting({ config, version: parts.version, url, tlsUrl, grpcUrl }));
    log.info("listening", {
      url,
      grpc_url: grpcUrl,
      ...(tlsUrl === null ? {} : { tls_url: tlsUrl }),
      pid: process.pid,
      ms: passedMs(clock, startedMs),
    });
    await ended;
  } catch (error) {
    await stop(parts, running);
    throw startFault(error, config.dataDir);
  }
  log.info("ended");
}

/** Takes lock, ports and store in this order, and gives back what it has when a later step fails. */
async function start(parts: NodeParts): Promise<Running> {
  const { config, disk, clock, random, log, publicTls } = parts;
  // 0. The certificate, which is part of the configuration: a wrong one leaves nothing touched.
  publicTls?.load();
  parts.grpcPort.load();
  // 1. The lock: from here on nobody else touches the directory, and a stale socket in it is known to be stale.
  const lock = takeDataDirectory(disk, config.dataDir);
  const servers: { stop(isAtOnce: boolean): unknown }[] = [];
  try {
    // 2. The ports, before the recovery: whoever looks sees a node that starts, not one that is gone.
    const side = { config, clock, handler: parts.publicHandler, limit: parts.connections };
    const publicServer = listenPublic(side);
    servers.push(publicServer);
    publicTls?.listen(side);
    if (publicTls !== null) servers.push(publicTls);
    await parts.grpcPort.listen();
    servers.push(parts.grpcPort);
    const socketPath = claimAdminSocket({ disk, random, dataDir: config.dataDir });
    const adminServer = listenAdmin(socketPath, parts.adminHandler, log);
    servers.push(adminServer);
    // 3. The store, which recovers by itself. A crash here leaves what was found.
    return { lock, publicServer, adminServer, opened: parts.openStore() };
  } catch (error) {
    for (const server of servers) server.stop(true);
    dropAdminSocket(disk, config.dataDir);
    lock.release();
    throw startFault(error, config.dataDir);
  }
}

/** Acts on signals and on the end of the recovery; settles when the node has ended or cannot go on. */
function followLife(parts: NodeParts, running: Running, startedMs: number): Promise<void> {
  const { signals, log, publicTls, grpcPort } = parts;
  const { store, recovered } = running.opened;
  if (publicTls !== null || grpcPort.scheme === "grpcs") {
    signals.onHangup(() => {
      publicTls?.reload();
      grpcPort.reload();
    });
  }
  return new Promise((resolve, reject) => {
    let drained: Promise<void> | null = null;
    signals.listen((wish, name) => {
      log.info("signal", { name, wish });
      drained ??= drain(parts, running);
      if (wish === "stop") drained.then(() => stop(parts, running)).then(resolve, reject);
    });
    const look = watchOver(parts, store);
    recovered.then(() => becomeReady(parts, look, startedMs)).catch(reject);
  });
}

/** Tells what the store and the loop are like, from the start on; returns a look that does it at once. */
function watchOver({ config, clock, life, log }: NodeParts, store: Store): () => void {
  logModes(life, log, clock);
  life.memory.follow((tier) => {
    life.degraded.set("memory_constrained", tier === "normal" ? null : `memory is ${tier}`);
  });
  const onLag = (ms: number): void => log.warn("The loop did not turn", { ms: Math.round(ms) });
  life.setLoopLag(watchLoop(clock, onLag));
  const look = (): void => reportStore(life, store, config.livenessStallMsMax);
  clock.every(storeLookMs, look);
  return look;
}

/** After the recovery: in rotation, except while the store takes no writes. */
function becomeReady(
  { clock, life, log, steps }: NodeParts,
  look: () => void,
  startedMs: number,
): void {
  look();
  watchGarbage(clock, ownGarbage(steps));
  life.advance("joining");
  // There are no peers to catch up with.
  if (life.advance("serving")) log.info("ready", { ms: passedMs(clock, startedMs) });
}

/** New cache requests are refused from here on; resolves when those in flight have ended or been given up. */
async function drain(parts: NodeParts, running: Running): Promise<void> {
  const { config, clock, life, log } = parts;
  const pending = (): number => pendingRequests(parts, running);
  life.advance("draining");
  const startedMs = clock.monotonicMs();
  const isIdle = await waitUntilIdle({
    clock,
    pending,
    withinMs: config.drainMsMax,
  });
  const ms = passedMs(clock, startedMs);
  if (isIdle) log.info("drained", { ms });
  else log.warn("drain deadline passed", { ms, cut: pending() });
}

/** Public requests and calls on their way, on every port. */
function pendingRequests(
  { publicTls, grpcPort, life }: NodeParts,
  { publicServer }: Pick<Running, "publicServer">,
): number {
  const overHttp = publicServer.pendingRequests + (publicTls?.pendingRequests ?? 0);
  return overHttp + life.grpcInflight + grpcPort.sendingCount;
}

async function stop(parts: NodeParts, { opened, ...running }: Running): Promise<void> {
  const { disk, clock, log, config, publicTls, grpcPort } = parts;
  const { publicServer, adminServer, lock } = running;
  // 1. Requests that outlived the drain are cut: their clients see a broken connection, never a false success.
  if (pendingRequests(parts, running) > 0) {
    publicServer.stop(true);
    publicTls?.stop(true);
    grpcPort.stop(true);
  }
  // 2. The store, while probes still answer.
  const closed = opened.store.close().then(
    () => true,
    (error: unknown) => {
      log.error("the store did not close", { error: asFault(error) });
      return true;
    },
  );
  const isClosed = await Promise.race([closed, sleep(clock, storeCloseMsMax).then(() => false)]);
  if (!isClosed) log.error("the store did not close in time", { ms: storeCloseMsMax });
  // 3. The listeners, then the lock: whoever waits for it finds the ports free.
  publicServer.stop(true);
  publicTls?.stop(true);
  grpcPort.stop(true);
  adminServer.stop(true);
  dropAdminSocket(disk, config.dataDir);
  lock.release();
}

/** A newer format and what has a code of its own are told apart; all else that goes wrong is about the directory. */
function startFault(error: unknown, dataDir: string): unknown {
  if (!(error instanceof Fault)) return error;
  switch (error.code) {
    case "internal":
    case "unavailable":
    case "full":
    case "damaged": {
      const reason = error.message.replace(/^Cannot /, "cannot ");
      const what = `Cannot open the store of ${dataDir}: ${reason}`;
      return new Fault("dataDirectory", what, { cause: error });
    }
    default:
      return error;
  }
}

/** One turn of the loop. */
function oneTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function passedMs(clock: Clock, sinceMs: number): number {
  return Math.round(clock.monotonicMs() - sinceMs);
}
