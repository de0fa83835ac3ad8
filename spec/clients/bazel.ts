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

/** A package of genrules whose outputs hold chance and the text of `in.txt`. */
export type BazelProject = {
  readonly build: string;
  /** One of each action. */
  readonly outputs: readonly string[];
};

/** Bazel on one project, all of whose actions a cold build runs. */
export type BazelClient = JudgedClient & {
  build(serverUrl: string, ...flags: readonly string[]): Promise<Build>;
  /** The source of `sum.txt` that no other output has, so that a new text makes work for one action. */
  writeExtra(text: string): void;
};

const small = ["g0", "g1"] as const;
/** Over 1 MiB, so that one blob takes the way of large bodies. */
export const bazelBigOutputBytes = 3_000_000;

/** A server of an older process could still hold its memory for this long after a spec was killed. */
const serverIdleSeconds = 60;

/**
 * Bazel with genrules whose outputs hold chance, so that equal digests can only come from a cache. It has an output root
 * and so a server of its own, which ends with it.
 */
export async function makeBazelClient(options: {
  word: string;
  version: BazelVersion;
  project?: BazelProject;
}): Promise<BazelClient> {
  const { word, version, project = fourActions } = options;
  const program = await findBazel(version);
  const folder = makeTemporaryFolder("bazel");
  const workspace = path.join(folder, "workspace");
  const home = path.join(folder, "home");
  fs.mkdirSync(home);
  const sources = { "in.txt": `${word}\n`, "extra.txt": "" };
  writeFiles(workspace, { WORKSPACE: "", BUILD: project.build, ...sources });
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
    tasks: project.outputs.length,
    async build(serverUrl, ...flags: readonly string[]) {
      const words = await run(
        ...["build", "//...", ...remoteFlags(serverUrl)],
        // Debian's sandbox writes time stamps to each action's stderr, which would make blobs of it.
        ...["--spawn_strategy=local", "--color=no", "--curses=no", "--noshow_progress"],
        ...flags,
      );
      const outputs = digestFiles(path.join(workspace, "bazel-bin"), project.outputs);
      return { ...readCounts(words), outputs, words };
    },
    writeExtra: (text) => writeFiles(workspace, { "extra.txt": text }),
    wrongOutputs() {
      const outputs = path.join(workspace, "bazel-bin");
      return filesWithout(outputs, Object.fromEntries(project.outputs.map((name) => [name, word])));
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

/** The path of the URL, such as `/bazel/ios`, is the instance; over gRPC it has a flag of its own. */
function remoteFlags(serverUrl: string): string[] {
  const [, address = "", instance] = /^(grpc:\/\/[^/]+)\/?(.*)$/.exec(serverUrl) ?? [];
  if (instance === undefined) return [`--remote_cache=${serverUrl}`];
  return [`--remote_cache=${address}`, `--remote_instance_name=${instance}`];
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

/** Two small outputs, a big one, and one that is made of the small ones. */
const fourActions: BazelProject = {
  build: [
    ...small.map((name) =>
      rule(name, `${name}.txt`, ["in.txt"], `; ${chance(16)} | od -An -tx8; echo ${name}`),
    ),
    rule("big", "big.bin", ["in.txt"], `; ${chance(bazelBigOutputBytes)}`),
    rule("sum", "sum.txt", [...small.map((name) => `:${name}`), "extra.txt"], ""),
    "",
  ].join("\n"),
  outputs: [...small.map((name) => `${name}.txt`), "big.bin", "sum.txt"],
};

/** Actions that do not wait for one another. */
export function manyActions(count: number): BazelProject {
  const names = Array.from({ length: count }, (_, i) => `m${i}`);
  return {
    build: names
      .map((name) => rule(name, `${name}.txt`, ["in.txt"], `; echo ${name}; ${chance(3_000)}`))
      .join("\n"),
    outputs: names.map((name) => `${name}.txt`),
  };
}

function chance(bytes: number): string {
  return `head -c ${bytes} /dev/urandom`;
}

function rule(name: string, output: string, sources: readonly string[], more: string): string {
  return `genrule(name = "${name}", srcs = ${JSON.stringify(sources)}, outs = ["${output}"], cmd = "(cat $(SRCS)${more}) > $@")`;
}

/** `INFO: 7 processes: 6 remote cache hit, 1 internal.`; what was not a hit ran here, whatever the strategy is called. */
function readCounts(words: string): Pick<Build, "hits" | "misses"> {
  const said = /^INFO: \d+ process(?:es)?: (.*)\.$/m.exec(words)?.[1];
  if (said === undefined) throw new Error(`Bazel's count of processes is missing:\n${words}`);
  let hits = 0;
  let misses = 0;
  for (const part of said.split(", ")) {
    const [count, ...what] = part.split(" ");
    if (what.join(" ") === "remote cache hit") hits += Number(count);
    else if (what.join(" ") !== "internal") misses += Number(count);
  }
  return { hits, misses };
}
