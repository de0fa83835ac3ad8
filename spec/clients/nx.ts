import fs from "node:fs";
import path from "node:path";
import { installClient } from "../support/client-packages.ts";
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

const projects = ["a", "b", "c"] as const;
/** Over 1 MiB once packed, so that one artifact takes the way of large bodies. */
const bigOutputBytes = 3_000_000;
const outputs = [
  ...projects.map((name) => `packages/${name}/dist/out.txt`),
  "packages/c/dist/big.bin",
];

export type NxClient = JudgedClient & {
  /** Hashes that the last build left in Nx's own cache. */
  localHashes(): string[];
};

/** Nx 24.0.6 with three projects whose outputs hold chance, so that equal digests can only come from a cache. */
export async function makeNxClient(
  word: string,
  env: Readonly<Record<string, string>> = {},
): Promise<NxClient> {
  const packages = await installClient({ nx: "24.0.6" });
  const folder = makeTemporaryFolder("nx");
  const home = path.join(folder, "home");
  const workspace = path.join(folder, "workspace");
  fs.mkdirSync(home, { recursive: true });
  writeWorkspace(workspace, word);
  fs.symlinkSync(path.join(packages, "node_modules"), path.join(workspace, "node_modules"));
  const cache = path.join(folder, "nx-cache");
  const data = path.join(folder, "nx-data");

  const run = (serverUrl: string): Promise<string> =>
    runClient({
      command: [
        path.join(workspace, "node_modules/.bin/nx"),
        ...["run-many", "-t", "build", "--output-style=static"],
      ],
      folder: workspace,
      env: {
        HOME: home,
        NX_SELF_HOSTED_REMOTE_CACHE_SERVER: serverUrl,
        NX_SELF_HOSTED_REMOTE_CACHE_ACCESS_TOKEN: "a-token",
        NX_DAEMON: "false",
        NX_NO_CLOUD: "true",
        NX_TUI: "false",
        NO_COLOR: "1",
        CI: "true",
        NX_CACHE_DIRECTORY: cache,
        NX_WORKSPACE_DATA_DIRECTORY: data,
        ...env,
      },
    });
  return {
    tasks: projects.length,
    build: async (serverUrl) => readBuild(workspace, await run(serverUrl)),
    localHashes: () => fs.readdirSync(cache).filter((name) => /^[0-9a-f]{8,}$/.test(name)),
    wrongOutputs: () => filesWithout(workspace, textsOfOutputs(word)),
    wipe() {
      removeAll(folder, ["nx-cache", "nx-data", "home"]);
      fs.mkdirSync(home);
      removeAll(workspace, [".nx", ...projects.map((name) => `packages/${name}/dist`)]);
    },
    async [Symbol.asyncDispose]() {
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

function writeWorkspace(workspace: string, word: string): void {
  const nx = {
    analytics: false,
    neverConnectToCloud: true,
    targetDefaults: {
      build: {
        cache: true,
        outputs: ["{projectRoot}/dist"],
        inputs: ["{projectRoot}/src/**/*"],
      },
    },
  };
  writeFiles(workspace, {
    "package.json": JSON.stringify({ private: true, devDependencies: { nx: "24.0.6" } }),
    "nx.json": JSON.stringify(nx),
  });
  for (const name of projects) {
    const root = `packages/${name}`;
    const target = { executor: "nx:run-commands", options: { command: buildCommand(name) } };
    writeFiles(workspace, {
      [`${root}/project.json`]: JSON.stringify({ name, targets: { build: target } }),
      [`${root}/src/in.txt`]: `${sourceText(word, name)}\n`,
    });
  }
}

function sourceText(word: string, name: string): string {
  return `${word} ${name}`;
}

function textsOfOutputs(word: string): Record<string, string> {
  return Object.fromEntries(
    outputs.map((output) => [output, sourceText(word, output.split("/")[1] ?? "")]),
  );
}

function buildCommand(name: string): string {
  const dist = `packages/${name}/dist`;
  const source = `packages/${name}/src/in.txt`;
  const big = `(cat ${source}; head -c ${bigOutputBytes} /dev/urandom) > ${dist}/big.bin`;
  return [
    `mkdir -p ${dist}`,
    `(cat ${source}; head -c 16 /dev/urandom | od -An -tx8) > ${dist}/out.txt`,
    ...(name === "c" ? [big] : []),
    `echo built-${name}`,
  ].join(" && ");
}

/** `> nx run a:build  [remote cache]` is a hit; the same line without it, and not from the local cache, a miss. */
function readBuild(workspace: string, words: string): Build {
  const lines = words.split("\n").filter((line) => /^\s*> nx run \w+:build/.test(line));
  const hits = lines.filter((line) => line.includes("[remote cache]")).length;
  const misses = lines.filter((line) => !line.includes("cache]")).length;
  return { hits, misses, words, outputs: digestFiles(workspace, outputs) };
}
