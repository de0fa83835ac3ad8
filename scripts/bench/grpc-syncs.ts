import fs from "node:fs";
import path from "node:path";
import { requireProgram } from "../../spec/support/client-packages.ts";
import { makeTemporaryFolder, projectFolder, startNode } from "../../spec/support/node-process.ts";
import { startBazelRemote } from "./bazel-remote.ts";
import { pinLoad } from "./pin.ts";

/** What a server did to make writes durable before it answered them, as the kernel saw it. */
export type SyncCounts = {
  readonly writes: number;
  /** Calls of fdatasync and of fsync on files. */
  readonly fdatasyncs: number;
  readonly fsyncs: number;
  /** Calls on folders: without one a renamed file may be gone after a power cut. */
  readonly folderSyncs: number;
};

const writes = 300;
const load = ["--operations", "BatchUpdateBlobs", "--requests", String(writes), "--warm-up", "0s"];

/** Counts the syncs of the same writes in Kura and, when it is there, in bazel-remote. */
export async function measureGrpcSyncs(options: {
  binary: string;
  program: string | null;
}): Promise<Partial<Record<"Kura" | "bazel-remote", SyncCounts>>> {
  const { binary, program } = options;
  const strace = requireProgram("strace", "apt-get install strace");
  const folder = makeTemporaryFolder("grpc-strace");
  try {
    const kura = await countKura(binary, new SyncLog(strace, path.join(folder, "kura.txt")));
    if (program === null) return { Kura: kura };
    const log = new SyncLog(strace, path.join(folder, "peer.txt"));
    await using peer = await startBazelRemote(program, log.launcher);
    return { Kura: kura, "bazel-remote": await log.count(() => write(binary, peer.grpcPort)) };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function countKura(binary: string, log: SyncLog): Promise<SyncCounts> {
  await using node = await startNode({ binary, launcher: log.launcher });
  return await log.count(() => write(binary, node.grpcPort));
}

/** strace starts the server (`-D` keeps the server's own pid) and stops it only at the calls that are counted. */
class SyncLog {
  readonly launcher: readonly string[];
  readonly #file: string;

  constructor(strace: string, file: string) {
    this.#file = file;
    const calls = ["--seccomp-bpf", "-e", "trace=fdatasync,fsync", "-e", "signal=none"];
    this.launcher = [strace, "-D", "-f", "-y", ...calls, "-o", file];
  }

  /** What was called during the work; the server must still be there, for its folders to be told from files. */
  async count(work: () => Promise<void>): Promise<SyncCounts> {
    const before = this.#calls().length;
    await work();
    const calls = this.#calls().slice(before);
    const onFiles = calls.filter((line) => !isOnFolder(line));
    return {
      writes,
      fdatasyncs: onFiles.filter((line) => line.includes("fdatasync(")).length,
      fsyncs: onFiles.filter((line) => line.includes("fsync(")).length,
      folderSyncs: calls.length - onFiles.length,
    };
  }

  /** A call that another thread interrupts has two lines; only the first has the bracket. */
  #calls(): string[] {
    const lines = fs.existsSync(this.#file) ? fs.readFileSync(this.#file, "utf8").split("\n") : [];
    return lines.filter((line) => /\bf(data)?sync\(/.test(line));
  }
}

function isOnFolder(line: string): boolean {
  const file = /\(\d+<([^>]+)>/.exec(line)?.[1] ?? "";
  // A file that was written under another name is no folder, though it is gone.
  return fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}

async function write(binary: string, port: number): Promise<void> {
  const program = path.resolve(projectFolder, binary);
  const url = `grpc://127.0.0.1:${port}`;
  const child = Bun.spawn([...pinLoad(), program, "bench", "grpc", ...load, "--url", url], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const [words, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (code !== 0) throw new Error(`kura bench grpc ended with ${code} and said:\n${words}`);
}
