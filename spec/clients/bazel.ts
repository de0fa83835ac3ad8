import fs from "node:fs";
import path from "node:path";
import { installClient, requireProgram } from "../support/client-packages.ts";
import { makeTemporaryFolder } from "../support/node-process.ts";
import {
  type Build,
  digestFiles,
  filesWithout,
  type JudgedClient,
  runClient,
  writeFiles,
} from "./flow.ts";

/** Debian's `bazel-bootstrap`, and the newest one that npm has. */
export type BazelVersion = "4.2.3" | "2.1.0";
export const bazelVersions = ["4.2.3", "2.1.0"] as const;

export const bazelInstallCommand = "apt-get install -y --no-install-recommends bazel-bootstrap";

const small = ["g0", "g1"] as const;
/** Over 1 MiB, so that one blob takes the way of large bodies. */
const bigOutputBytes = 3_000_000;
/** In the order of the actions; the last one needs the small ones. */
export const bazelOutputs = [...small.map((name) => `${name}.txt`), "big.bin", "sum.txt"] as const;

/** A server of an older process could still hold its memory for this long after a spec was killed. */
const serverIdleSeconds = 60;

/**
 * Bazel with four genrules whose outputs hold chance, so that equal digests can only come from a cache. It has an output
 * root and so a server of its own, which ends with it.
 */
export async function makeBazelClient(options: {
  word: string;
  version: BazelVersion;
}): Promise<JudgedClient> {
  const { word, version } = options;
  const program = await findBazel(version);
  const folder = makeTemporaryFolder("bazel");
  const workspace = path.join(folder, "workspace");
  const home = path.join(folder, "home");
  fs.mkdirSync(home);
  writeFiles(workspace, { WORKSPACE: "", BUILD: buildFile(), "in.txt": `${word}\n` });
  const run = (...args: readonly string[]): Promise<string> =>
    runClient({
      command: [
        ...[program, `--output_user_root=${path.join(folder, "root")}`],
        ...[`--max_idle_secs=${serverIdleSeconds}`, ...args],
      ],
      folder: workspace,
      env: { HOME: home, TMPDIR: folder, USER: "spec" },
    });
  return {
    tasks: bazelOutputs.length,
    // The path of the URL, such as `/bazel/ios`, is the instance.
    async build(serverUrl) {
      const words = await run(
        ...["build", "//...", `--remote_cache=${serverUrl}`],
        // Debian's sandbox writes time stamps to each action's stderr, which would make blobs of it.
        ...["--spawn_strategy=local", "--color=no", "--curses=no", "--noshow_progress"],
      );
      return readBuild(workspace, words);
    },
    wrongOutputs() {
      const outputs = path.join(workspace, "bazel-bin");
      return filesWithout(outputs, Object.fromEntries(bazelOutputs.map((name) => [name, word])));
    },
    async wipe() {
      await run("clean");
    },
    async [Symbol.asyncDispose]() {
      await run("shutdown");
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function findBazel(version: BazelVersion): Promise<string> {
  if (version === "4.2.3") return requireProgram("bazel", bazelInstallCommand);
  const packages = await installClient({ "@bazel/bazel-linux_x64": version });
  const folder = path.join(packages, "node_modules/@bazel/bazel-linux_x64");
  const program = path.join(folder, `bazel-${version}-linux-x86_64`);
  // The package lacks the execute bit, and its wrapper then says nothing and ends with 0.
  fs.chmodSync(program, 0o755);
  return program;
}

function buildFile(): string {
  const chance = (bytes: number): string => `head -c ${bytes} /dev/urandom`;
  const rule = (name: string, output: string, sources: readonly string[], more: string): string =>
    `genrule(name = "${name}", srcs = ${JSON.stringify(sources)}, outs = ["${output}"], cmd = "(cat $(SRCS)${more}) > $@")`;
  return [
    ...small.map((name) =>
      rule(name, `${name}.txt`, ["in.txt"], `; ${chance(16)} | od -An -tx8; echo ${name}`),
    ),
    rule("big", "big.bin", ["in.txt"], `; ${chance(bigOutputBytes)}`),
    rule(
      "sum",
      "sum.txt",
      small.map((name) => `:${name}`),
      "",
    ),
    "",
  ].join("\n");
}

/** `INFO: 7 processes: 6 remote cache hit, 1 internal.`; what was not a hit ran here, whatever the strategy is called. */
function readBuild(workspace: string, words: string): Build {
  const said = /^INFO: \d+ process(?:es)?: (.*)\.$/m.exec(words)?.[1];
  if (said === undefined) throw new Error(`Bazel's count of processes is missing:\n${words}`);
  let hits = 0;
  let misses = 0;
  for (const part of said.split(", ")) {
    const [count, ...what] = part.split(" ");
    if (what.join(" ") === "remote cache hit") hits += Number(count);
    else if (what.join(" ") !== "internal") misses += Number(count);
  }
  const outputs = digestFiles(path.join(workspace, "bazel-bin"), bazelOutputs);
  return { hits, misses, words, outputs };
}
