import path from "node:path";
import { systemClock } from "../../runtime/base/clock.ts";
import { systemRandom } from "../../runtime/base/random.ts";
import { realDisk } from "../../runtime/base/real-disk.ts";
import { findAdminSocket } from "../../runtime/server/admin-socket.ts";
import type { Terminal } from "../terminal.ts";
import type { TargetFlags } from "./options.ts";
import { startOwnServer } from "./own-server.ts";
import { choosePinning, pinThisProcess } from "./pin.ts";
import { cpuUs, fileSystemType, holdersOfUnixSocket, listenersOf } from "./proc.ts";

/** The server under load. */
export type BenchTarget = AsyncDisposable & {
  readonly url: string;
  /** Whose CPU time and memory are measured; empty when that is not known. */
  readonly pids: readonly number[];
  readonly isOwn: boolean;
  /** What a reader of the figures should know. */
  readonly warnings: readonly string[];
};

const memoryFileSystems: readonly string[] = ["tmpfs", "ramfs"];

/** Which port of a node of our own is loaded. */
export type BenchPort = "http" | "grpc";

/** The server at `--url`, or a node of our own. */
export async function findTarget(
  terminal: Terminal,
  flags: TargetFlags,
  port: BenchPort,
): Promise<BenchTarget> {
  return flags.url === undefined ? startOwn(terminal, flags, port) : findGiven(flags.url, flags);
}

async function startOwn(
  terminal: Terminal,
  flags: TargetFlags,
  port: BenchPort,
): Promise<BenchTarget> {
  const pinning = choosePinning();
  const server = await startOwnServer({
    clock: systemClock,
    random: systemRandom,
    env: terminal.env,
    settings: Object.fromEntries(flags.set ?? []),
    tenant: flags.tenant ?? "default",
    pinning,
  });
  const warnings: string[] = [];
  if (pinning === null) {
    warnings.push(
      "server and load share their cores: this needs two cores and taskset(1), so requests a second and latencies mean little",
    );
  } else {
    pinThisProcess(pinning);
  }
  if (memoryFileSystems.includes(fileSystemType(server.folder) ?? "")) {
    warnings.push(
      `${server.folder} lies in memory, where nothing is durable: set TMPDIR to a folder on the disk you mean`,
    );
  }
  const url = port === "http" ? server.url : server.grpcUrl;
  const pids = [server.pid];
  return { url, pids, isOwn: true, warnings, [Symbol.asyncDispose]: server.stop };
}

function findGiven(url: string, flags: TargetFlags): BenchTarget {
  const pids = findPids(url, flags);
  const warnings = pids.some((pid) => cpuUs([pid]) === null)
    ? [`the process ${pids.join(", ")} cannot be looked at: there are no figures of CPU and memory`]
    : pids.length === 0
      ? ["no process that listens there was found: give --server-pid for figures of CPU and memory"]
      : [];
  return { url, pids, isOwn: false, warnings, [Symbol.asyncDispose]: async () => {} };
}

function findPids(url: string, { serverPid, dataDir }: TargetFlags): number[] {
  if (serverPid !== undefined) return [serverPid];
  if (dataDir !== undefined)
    return holdersOfUnixSocket(findAdminSocket(realDisk, path.resolve(dataDir)));
  const { hostname, port } = new URL(url.replace(/^grpc:/, "http:"));
  const isHere = ["127.0.0.1", "localhost", "[::1]"].includes(hostname);
  return isHere ? listenersOf(Number(port === "" ? 80 : port)) : [];
}
