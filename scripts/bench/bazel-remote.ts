import fs from "node:fs";
import path from "node:path";
import { accepts, freePorts, makeTemporaryFolder, until } from "../../spec/support/node-process.ts";
import { pinServer } from "./pin.ts";

/** The yardstick of the Remote Execution API, on the core of the server. */
export type BazelRemote = {
  readonly grpcPort: number;
  readonly pid: number;
  readonly folder: string;
  [Symbol.asyncDispose](): Promise<void>;
};

/** GiB of its disk cache: more than a run writes, so that nothing is evicted while it is measured. */
const cacheGiB = 32;

/** The program by the environment or on PATH; null when it is on neither. */
export function findBazelRemote(): string | null {
  const named = process.env.KURA_BENCH_BAZEL_REMOTE;
  if (named === undefined || named === "") return Bun.which("bazel-remote");
  if (fs.existsSync(named)) return named;
  throw new Error(`Cannot start KURA_BENCH_BAZEL_REMOTE ${named}: there is no such file`);
}

/** `launcher` stands between the pinning and the program; what it starts must keep its process id. */
export async function startBazelRemote(
  program: string,
  launcher: readonly string[] = [],
): Promise<BazelRemote> {
  const folder = makeTemporaryFolder("bazel-remote");
  const [grpcPort = 0, httpPort = 0] = await freePorts(2);
  const said = path.join(folder, "output.txt");
  const child = Bun.spawn(
    [...pinServer(), ...launcher, program, ...options({ folder, grpcPort, httpPort })],
    { stdin: "ignore", stdout: Bun.file(said), stderr: Bun.file(`${said}.errors`) },
  );
  const dispose = async (): Promise<void> => {
    child.kill("SIGTERM");
    await child.exited;
    fs.rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until("bazel-remote listens", () => child.exitCode !== null || accepts(grpcPort));
    if (child.exitCode !== null) {
      const words = fs.readFileSync(said, "utf8") + fs.readFileSync(`${said}.errors`, "utf8");
      throw new Error(`bazel-remote ended with ${child.exitCode}: ${words}`);
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return { grpcPort, pid: child.pid, folder, [Symbol.asyncDispose]: dispose };
}

/** Blobs as they are, as Kura keeps them; the checks of outputs, which Kura makes too, are on by default. */
function options(parts: { folder: string; grpcPort: number; httpPort: number }): string[] {
  return [
    ...["--dir", path.join(parts.folder, "cache"), "--max_size", String(cacheGiB)],
    ...["--grpc_address", `127.0.0.1:${parts.grpcPort}`],
    ...["--http_address", `127.0.0.1:${parts.httpPort}`],
    ...["--storage_mode", "uncompressed", "--access_log_level", "none"],
  ];
}
