import fs from "node:fs";
import path from "node:path";
import { installClient, requireProgram } from "../support/client-packages.ts";
import { makeTemporaryFolder } from "../support/node-process.ts";
import {
  type Build,
  digestFiles,
  filesWithout,
  type JudgedClient,
  removeAll,
  runClient,
  writeFiles,
} from "./flow.ts";

const projects = ["a", "b"] as const;
/** Over 1 MiB, so that one blob takes the way of large bodies. */
const bigOutputBytesDefault = 3_000_000;
const outputs = projects.flatMap((name) => [`${name}/out.txt`, `${name}/big.bin`]);
export const moonInstance = "ios";

/** How moon sends blobs over gRPC. Over HTTP it does not ask. */
export const moonCompressions = ["none", "zstd"] as const;
export type MoonCompression = (typeof moonCompressions)[number];

export type MoonClient = JudgedClient & {
  build(serverUrl: string, compression?: MoonCompression): Promise<Build>;
};

/**
 * moon 2.5.5 over HTTP or gRPC, as the URL says, with two projects whose outputs hold chance, so that equal digests can
 * only come from a cache. The big output of each is about as large as wanted, and zstd makes less than half of it.
 */
export async function makeMoonClient(
  word: string,
  bigOutputBytes = bigOutputBytesDefault,
): Promise<MoonClient> {
  const packages = await installClient({ "@moonrepo/cli": "2.5.5" });
  requireProgram("node", "apt-get install nodejs");
  const folder = makeTemporaryFolder("moon");
  const workspace = path.join(folder, "workspace");
  const home = path.join(folder, "home");
  fs.mkdirSync(home);
  writeWorkspace(workspace, word, bigOutputBytes);
  await commitAll(workspace, home);
  return {
    tasks: projects.length,
    async build(serverUrl, compression: MoonCompression = "none") {
      const settings = workspaceSettings(serverUrl, compression);
      writeFiles(workspace, { ".moon/workspace.yml": settings });
      const words = await runClient({
        command: [path.join(packages, "node_modules/.bin/moon"), "run", ":build"],
        folder: workspace,
        env: { HOME: home, TMPDIR: folder, MOON_TOOLCHAIN_FORCE_GLOBALS: "true", NO_COLOR: "1" },
      });
      return readBuild(workspace, words);
    },
    wrongOutputs() {
      const texts = outputs.map((output) => [output, sourceText(word, output.charAt(0))]);
      return filesWithout(workspace, Object.fromEntries(texts));
    },
    // The home stays: all that moon has there is its plugins, compiled, which takes it 5 s.
    wipe: () => removeAll(workspace, [".moon/cache", ...outputs]),
    async [Symbol.asyncDispose]() {
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

function sourceText(word: string, name: string): string {
  return `${word} ${name}`;
}

function writeWorkspace(workspace: string, word: string, bigOutputBytes: number): void {
  const output = (bytes: number, name: string): string =>
    `(cat in.txt; head -c ${bytes} /dev/urandom | od -An -v -tx1) > ${name}`;
  const small = output(16, "out.txt");
  // Each byte becomes three characters.
  const big = output(Math.ceil(bigOutputBytes / 3), "big.bin");
  writeFiles(workspace, {
    // The settings name the server, which changes between builds, and must not be part of a task's hash.
    ".gitignore": ".moon\n*.bin\nout.txt\n",
  });
  for (const name of projects) {
    writeFiles(workspace, {
      [`${name}/in.txt`]: `${sourceText(word, name)}\n`,
      [`${name}/moon.yml`]: `
tasks:
  build:
    script: '${small} && ${big}'
    inputs: ['in.txt']
    outputs: ['out.txt', 'big.bin']
    options: {runInCI: true}
`,
    });
  }
}

function workspaceSettings(serverUrl: string, compression: MoonCompression): string {
  return `
projects: [${projects.map((name) => `'${name}'`).join(", ")}]
telemetry: false
vcs: {defaultBranch: main}
remote:
  api: ${serverUrl.startsWith("grpc:") ? "grpc" : "http"}
  host: '${serverUrl}'
  cache: {instanceName: '${moonInstance}', compression: ${compression}}
`;
}

/** moon asks Git which files there are, and refuses a repository without a commit. */
async function commitAll(workspace: string, home: string): Promise<void> {
  const git = requireProgram("git", "apt-get install git");
  const run = (...args: readonly string[]): Promise<string> =>
    runClient({ command: [git, ...args], folder: workspace, env: { HOME: home } });
  await run("init", "--quiet", "--initial-branch=main");
  await run("add", ".");
  const author = ["-c", "user.name=spec", "-c", "user.email=spec@example.invalid"];
  await run(...author, "commit", "--quiet", "--message=project");
}

/** `a:build (cached from remote, 33ms, 629288de)` is a hit, `a:build (109ms, 629288de)` a task that has run. */
function readBuild(workspace: string, words: string): Build {
  const hits = words.match(/\w+:build \(cached from remote, /g)?.length ?? 0;
  const misses = words.match(/\w+:build \([0-9][^,()]*, [0-9a-f]{8}\)/g)?.length ?? 0;
  return { hits, misses, words, outputs: digestFiles(workspace, outputs) };
}
