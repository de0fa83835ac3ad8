import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { systemClock } from "../../runtime/base/clock.ts";
import { systemRandom } from "../../runtime/base/random.ts";
import { MiB, second } from "../../runtime/base/units.ts";

/** The folder of the project, whatever folder the specs are run from. */
export const projectFolder = path.resolve(import.meta.dir, "../..");

/** A node that has found nothing to recover is ready within 1 s; 60 s leave room for a loaded machine. */
const readyMsMax = 60 * second;
/** The drain ends within its own deadline; what still lives after this is killed and reported. */
const stopMsMax = 30 * second;
/** Kept of each output of the node; what came first goes first. */
const outputBytesMax = 4 * MiB;
const outputEndMsMax = 1 * second;
const pollMs = 5;
/** Outside the range that Linux gives to outgoing connections (32768-60999), so that a restart finds its port free. */
const portMin = 20_000;
const portRange = 12_000;
const portTriesMax = 200;
const portInUseExitCode = 69;

export type NodeOptions = {
  /** Used and kept; without it the node gets a fresh one, removed when the process is disposed. */
  dataDir?: string;
  /** Added to the settings that the helper makes; `KURA_PORT` and its like win over its choice. */
  env?: Record<string, string>;
  /** The program: an executable or a TypeScript file for Bun. Default `KURA_SPEC_BINARY` or `dist/kura`. */
  binary?: string;
  /** Arguments of the program; default `serve`. */
  args?: readonly string[];
  /** Put before the program, such as `taskset -c 0`; it must exec, so that the pid is the node's. */
  launcher?: readonly string[];
};

/**
 * A node that runs as a process of its own. Disposing it kills it and what `restart` made of it, and removes a data
 * directory that was made for it.
 */
export type NodeProcess = {
  /** Base of the public HTTP port, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  readonly grpcPort: number;
  /** `grpc://` and the gRPC port, without a slash at the end. */
  readonly grpcUrl: string;
  readonly internalPort: number;
  readonly pid: number;
  readonly dataDir: string;
  readonly adminSocket: string;
  /** Resolves with the exit code; 128 + signal for a killed process. */
  readonly exited: Promise<number>;
  stdout(): string;
  stderr(): string;
  /** Polls `/ready` until it is 200. Rejects when the node exits or the deadline passes, with its output. */
  ready(withinMs?: number): Promise<void>;
  /** SIGTERM, then waits for the end; resolves with the exit code. */
  stop(): Promise<number>;
  /** SIGKILL, then waits for the end. */
  kill(): Promise<void>;
  /** Starts the same node again (same data directory, ports and settings) once the old process has ended. */
  restart(changes?: { env?: Record<string, string> }): Promise<NodeProcess>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** Starts a node on free loopback ports and waits until it is ready. */
export async function startNode(options: NodeOptions = {}): Promise<NodeProcess> {
  for (let attempt = 1; ; attempt++) {
    const node = await spawnNode(options);
    try {
      await node.ready();
      return node;
    } catch (error) {
      const exitCode = await Promise.race([node.exited, null]);
      await node[Symbol.asyncDispose]();
      // Somebody else took a port between our probe and the bind: only then another try can help.
      if (exitCode !== portInUseExitCode || attempt === 3) throw error;
    }
  }
}

/** The same without waiting: for a start that is expected to fail, or to be watched. */
export async function spawnNode(options: NodeOptions = {}): Promise<NodeProcess> {
  const ports = await freePorts(3);
  const isOwnDataDir = options.dataDir === undefined;
  const dataDir = options.dataDir ?? makeTemporaryFolder("node");
  return launch({ options, ports, dataDir, isOwnDataDir });
}

/** A fresh folder under the system's temporary one. */
export function makeTemporaryFolder(purpose: string): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), `kura-${purpose}-`));
}

/** Ports of the loopback that nobody listens on right now, outside the range of outgoing connections. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let tries = 0; tries < portTriesMax && found.size < count; tries++) {
    const port = portMin + systemRandom.below(portRange);
    if (await isFree(port)) found.add(port);
  }
  if (found.size === count) return [...found];
  throw new Error(`Cannot find ${count} free loopback ports: ${portTriesMax} tries were in use`);
}

/** Asks again every few milliseconds until the answer is true. @throws when the deadline passes. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  withinMs = 10 * second,
): Promise<void> {
  const startMs = systemClock.monotonicMs();
  while (!(await isTrue())) {
    const passedMs = systemClock.monotonicMs() - startMs;
    if (passedMs > withinMs) throw new Error(`Waited ${Math.round(passedMs)} ms for: ${what}`);
    await Bun.sleep(pollMs);
  }
}

/** Whether a TCP connection to this loopback port is accepted. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    const end = (accepted: boolean): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

type Launch = {
  options: NodeOptions;
  ports: readonly number[];
  dataDir: string;
  isOwnDataDir: boolean;
};

const living = new Set<number>();
process.once("exit", () => {
  for (const pid of living) signal(pid, "SIGKILL");
});

function launch(from: Launch): NodeProcess {
  const env = nodeEnvironment(from);
  const child = Bun.spawn(commandLine(from.options), {
    cwd: projectFolder,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const pid = child.pid;
  const port = Number(env.KURA_PORT);
  const url = `http://127.0.0.1:${port}`;
  let isEnded = false;
  let successor: NodeProcess | null = null;
  living.add(pid);
  const exited = child.exited.then(async (code) => {
    isEnded = true;
    living.delete(pid);
    // A child of the node that outlives it would hold the pipes open: its last words are not worth a wait.
    await within(Promise.all([stdout.ended, stderr.ended]), outputEndMsMax);
    return code;
  });

  const output = (): string => `--- stdout\n${stdout.text()}\n--- stderr\n${stderr.text()}`;
  const kill = async (): Promise<void> => {
    if (!isEnded) signal(pid, "SIGKILL");
    await exited;
  };
  return {
    url,
    port,
    grpcPort: Number(env.KURA_GRPC_PORT),
    grpcUrl: `grpc://127.0.0.1:${env.KURA_GRPC_PORT}`,
    internalPort: Number(env.KURA_INTERNAL_PORT),
    pid,
    dataDir: from.dataDir,
    adminSocket: path.join(from.dataDir, "admin.sock"),
    exited,
    stdout: stdout.text,
    stderr: stderr.text,
    ready: (withinMs = readyMsMax) => waitForReady({ url, exited, output, withinMs }),
    async stop() {
      if (!isEnded) signal(pid, "SIGTERM");
      const code = await within(exited, stopMsMax);
      if (code !== null) return code;
      await kill();
      throw new Error(`The node did not end within ${stopMsMax} ms of SIGTERM\n${output()}`);
    },
    kill,
    async restart(changes = {}) {
      await exited;
      const merged = { ...from.options, env: { ...from.options.env, ...changes.env } };
      const next = launch({ ...from, options: merged });
      successor = next;
      await next.ready();
      return next;
    },
    async [Symbol.asyncDispose]() {
      await kill();
      await successor?.[Symbol.asyncDispose]();
      if (from.isOwnDataDir) fs.rmSync(from.dataDir, { recursive: true, force: true });
    },
  };
}

function commandLine(options: NodeOptions): string[] {
  const chosen = options.binary ?? process.env.KURA_SPEC_BINARY ?? "dist/kura";
  const binary = path.resolve(projectFolder, chosen);
  if (!fs.existsSync(binary)) {
    throw new Error(`Cannot start ${binary}: there is no such file; \`npm run build\` makes it`);
  }
  const program = binary.endsWith(".ts") ? [process.execPath, binary] : [binary];
  return [...(options.launcher ?? []), ...program, ...(options.args ?? ["serve"])];
}

const stallMsMax = 50 * second;

/** Only what a process needs: settings of the caller's shell must not reach the node. */
function nodeEnvironment({ options, ports, dataDir }: Launch): Record<string, string> {
  const [port, grpcPort, internalPort] = ports.map(String);
  return {
    PATH: process.env.PATH ?? "",
    HOME: os.homedir(),
    TMPDIR: os.tmpdir(),
    KURA_BIND: "127.0.0.1",
    KURA_PORT: port ?? "",
    KURA_GRPC_PORT: grpcPort ?? "",
    KURA_INTERNAL_PORT: internalPort ?? "",
    KURA_DATA_DIR: dataDir,
    // A machine that runs several builds may hang for as long as a node waits for its disk, and no spec is about that
    // but the ones that say so.
    KURA_STORE_STALL_MS: String(stallMsMax),
    ...options.env,
  };
}

type ReadyWait = {
  url: string;
  exited: Promise<number>;
  output: () => string;
  withinMs: number;
};

async function waitForReady({ url, exited, output, withinMs }: ReadyWait): Promise<void> {
  const startMs = systemClock.monotonicMs();
  let last = "no answer yet";
  while (systemClock.monotonicMs() - startMs < withinMs) {
    const code = await within(exited, pollMs);
    if (code !== null) throw new Error(`The node ended with ${code} before ready\n${output()}`);
    try {
      const answer = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(2 * second) });
      last = `${answer.status} ${await answer.text()}`;
      if (answer.status === 200) return;
    } catch (error) {
      last = String(error);
    }
  }
  throw new Error(
    `The node was not ready within ${withinMs} ms; /ready said: ${last}\n${output()}`,
  );
}

/** The value if it comes in time, else null. */
async function within<T>(promise: Promise<T>, delayMs: number): Promise<T | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), delayMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

function signal(pid: number, name: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended in between: that is what was wanted.
  }
}

/** Reads an output to its end, so that the node never waits for us, and keeps the last part of it. */
function collect(stream: ReadableStream<Uint8Array>): { text: () => string; ended: Promise<void> } {
  const chunks: Uint8Array[] = [];
  let keptBytes = 0;
  const read = async (): Promise<void> => {
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      chunks.push(value);
      keptBytes += value.length;
      while (keptBytes > outputBytesMax && chunks.length > 1) keptBytes -= chunks.shift()!.length;
    }
  };
  return { text: () => Buffer.concat(chunks).toString(), ended: read() };
}
