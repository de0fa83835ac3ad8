import os from "node:os";
import path from "node:path";
import type { Clock } from "../../runtime/base/clock.ts";
import { Fault } from "../../runtime/base/fault.ts";
import type { Random } from "../../runtime/base/random.ts";
import { KiB, second } from "../../runtime/base/units.ts";
import type { Environment } from "../../runtime/config/setting.ts";
import { launcherOf, type Pinning } from "./pin.ts";

/** A node of this very program, started for a measurement and removed with its data afterwards. */
export type OwnServer = {
  readonly url: string;
  readonly grpcUrl: string;
  readonly pid: number;
  readonly folder: string;
  /** Ends it and removes its data. Calling it twice is harmless. */
  stop(): Promise<void>;
};

export type OwnServerOptions = {
  readonly clock: Clock;
  readonly random: Random;
  /** Of this process: what is no setting of Kura goes to the node too. */
  readonly env: Environment;
  /** Settings for the node: by name, over the defaults. */
  readonly settings: Environment;
  readonly tenant: string;
  readonly pinning: Pinning | null;
};

const startMsMax = 30 * second;
const stopMsMax = 15 * second;
/** Kept of what the node says, for the message when it ends too early. */
const wordsCharsMax = 16 * KiB;

/**
 * Starts `kura serve` on free loopback ports with a fresh data directory under the temporary folder.
 * Settings of the environment do not reach it: a node that joined somebody's mesh to be measured would fill that too.
 * @throws Fault "unavailable" with the node's own words when it does not start.
 */
export async function startOwnServer(options: OwnServerOptions): Promise<OwnServer> {
  const { clock, random, pinning } = options;
  const name = Buffer.from(random.bytes(8)).toString("hex");
  const folder = path.join(os.tmpdir(), `kura-bench-${name}`);
  const child = Bun.spawn([...launcherOf(pinning), ...ownProgram(), "serve"], {
    env: nodeEnvironment(options, folder),
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  // Whatever way this process ends, the node must not outlive it.
  const kill = (): void => {
    child.kill("SIGKILL");
    removeFolder(folder);
  };
  process.once("exit", kill);
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
    await child.exited;
    clearTimeout(timer);
    process.removeListener("exit", kill);
    removeFolder(folder);
  };
  try {
    const urls = await withinStart(clock, listenUrls(child.stderr));
    return { ...urls, pid: child.pid, folder, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** This binary, or the interpreter with this source. */
function ownProgram(): string[] {
  const script = process.argv[1];
  const isCompiled = script === undefined || script.startsWith("/$bunfs/");
  return isCompiled ? [process.execPath] : [process.execPath, script];
}

function nodeEnvironment({ env, settings, tenant }: OwnServerOptions, folder: string) {
  const own = Object.entries(env).filter(([name]) => !name.startsWith("KURA_"));
  return {
    ...Object.fromEntries(own),
    KURA_TENANT_ID: tenant,
    ...settings,
    KURA_BIND: "127.0.0.1",
    KURA_PORT: "0",
    KURA_GRPC_PORT: "0",
    KURA_INTERNAL_PORT: "0",
    KURA_DATA_DIR: folder,
    KURA_LOG_LEVEL: "info",
  };
}

/** Reads what the node says: resolves when it is ready, rejects when it ends before. Reads on to the end after that. */
function listenUrls(stream: ReadableStream<Uint8Array>): Promise<Urls> {
  const { promise, resolve, reject } = Promise.withResolvers<Urls>();
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    let words = "";
    let urls: Urls | null = null;
    let isReady = false;
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (isReady) continue;
      words = (words + decoder.decode(value, { stream: true })).slice(-wordsCharsMax);
      urls ??= urlsIn(words);
      isReady = urls !== null && words.includes('"message":"ready"');
      if (urls !== null && isReady) resolve(urls);
    }
    reject(new Fault("unavailable", `Cannot start a node to load: ${complaintsIn(words)}`));
  };
  read().catch(reject);
  return promise;
}

type Urls = Pick<OwnServer, "url" | "grpcUrl">;

function urlsIn(words: string): Urls | null {
  const line = /"message":"listening".*?"url":"([^"]+)".*?"grpc_url":"([^"]+)"/.exec(words);
  const [, url, grpcUrl] = line ?? [];
  return url === undefined || grpcUrl === undefined ? null : { url, grpcUrl };
}

/** What the node complained about; its warnings are worth reading only when there is nothing else. */
function complaintsIn(words: string): string {
  const lines = words.split("\n").map((line) => line.replace(/^kura: /, ""));
  const said = lines.filter((line) => line !== "" && !line.startsWith("{"));
  const problems = said.filter((line) => !line.startsWith("warning:"));
  const shown = problems.length > 0 ? problems : said;
  return shown.length === 0 ? "it ended without a word" : `it said\n${shown.join("\n")}`;
}

async function withinStart<T>(clock: Clock, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const what = `Cannot start a node to load: it was not ready within ${startMsMax / second} s`;
  const timer = clock.after(startMsMax, () => late.reject(new Fault("unavailable", what)));
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    timer.cancel();
  }
}

/** rm(1), because a Disk knows no folders that go with all they hold. */
function removeFolder(folder: string): void {
  Bun.spawnSync(["rm", "-rf", "--", folder], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
}
