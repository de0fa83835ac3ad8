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

const packages = ["a", "b"] as const;
/** Over 1 MiB once packed, so that one artifact takes the way of large bodies. */
const bigOutputBytes = 3_000_000;
const outputs = [...packages.map((name) => `pkgs/${name}/dist/out.txt`), "pkgs/b/dist/big.bin"];

export type TurborepoOptions = {
  /** The slug, `TURBO_TEAM`. */
  readonly team?: string;
  /** `TURBO_TEAMID`; without it the client names its team by the slug alone. */
  readonly teamId?: string;
  /** Signs artifacts and takes none without this signature. At least 32 bytes. */
  readonly signatureKey?: string;
  /** Added to what it runs with. */
  readonly env?: Readonly<Record<string, string>>;
};

export type TurborepoClient = JudgedClient & {
  /** The same project with other settings, as on another machine. */
  as(options: TurborepoOptions): TurborepoClient;
};

/** A task as the run summary tells it. */
type SummaryTask = { cache: { status: string; source?: string } };

/** Turborepo 2.11.11 with two packages whose outputs hold chance, so that equal digests can only come from a cache. */
export async function makeTurborepoClient(
  word: string,
  options: TurborepoOptions = {},
): Promise<TurborepoClient> {
  const installed = await installClient({ turbo: "2.11.11" });
  const folder = makeTemporaryFolder("turborepo");
  const workspace = path.join(folder, "workspace");
  fs.mkdirSync(path.join(folder, "home"), { recursive: true });
  writeWorkspace(workspace, word);
  await makeRepository(workspace);
  return makeClient(
    { program: path.join(installed, "node_modules/.bin/turbo"), folder, word },
    options,
  );
}

type Project = { readonly program: string; readonly folder: string; readonly word: string };

function makeClient(project: Project, options: TurborepoOptions): TurborepoClient {
  const { program, folder, word } = project;
  const workspace = path.join(folder, "workspace");
  const home = path.join(folder, "home");
  return {
    tasks: packages.length,
    async build(serverUrl) {
      const signature = { remoteCache: { signature: options.signatureKey !== undefined } };
      writeFiles(workspace, { "turbo.json": JSON.stringify({ ...turbo, ...signature }) });
      const words = await runClient({
        command: [program, "run", "build", "--cache=remote:rw", "--summarize"],
        folder: workspace,
        env: { ...turboEnvironment(serverUrl, options), HOME: home },
      });
      return readBuild(workspace, words);
    },
    as: (other) => makeClient(project, other),
    wrongOutputs() {
      const texts = packages.map((name) => [`pkgs/${name}/dist/out.txt`, `${word} ${name}`]);
      return filesWithout(workspace, Object.fromEntries(texts));
    },
    wipe() {
      removeAll(folder, ["home"]);
      fs.mkdirSync(home);
      const made = packages.flatMap((name) => [`pkgs/${name}/dist`, `pkgs/${name}/.turbo`]);
      removeAll(workspace, [".turbo", "node_modules/.cache", ...made]);
    },
    async [Symbol.asyncDispose]() {
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

const turbo = { tasks: { build: { outputs: ["dist/**"], dependsOn: ["^build"] } } };

function turboEnvironment(serverUrl: string, options: TurborepoOptions): Record<string, string> {
  const { team = "acme", teamId, signatureKey } = options;
  return {
    TURBO_API: serverUrl,
    TURBO_TOKEN: "a-token",
    TURBO_TEAM: team,
    TURBO_TELEMETRY_DISABLED: "1",
    TURBO_NO_UPDATE_NOTIFIER: "1",
    DO_NOT_TRACK: "1",
    NO_COLOR: "1",
    ...options.env,
    ...(teamId === undefined ? {} : { TURBO_TEAMID: teamId }),
    ...(signatureKey === undefined ? {} : { TURBO_REMOTE_CACHE_SIGNATURE_KEY: signatureKey }),
  };
}

function writeWorkspace(workspace: string, word: string): void {
  const root = {
    name: "root",
    private: true,
    packageManager: "npm@10.0.0",
    workspaces: ["pkgs/*"],
  };
  const links = packages.map((name) => [
    `node_modules/${name}`,
    { resolved: `pkgs/${name}`, link: true },
  ]);
  const members = packages.map((name) => [`pkgs/${name}`, { name, version: "1.0.0" }]);
  const lock = {
    name: root.name,
    lockfileVersion: 3,
    requires: true,
    packages: {
      "": { name: root.name, workspaces: root.workspaces },
      ...Object.fromEntries([...links, ...members]),
    },
  };
  writeFiles(workspace, {
    "package.json": JSON.stringify(root),
    "package-lock.json": JSON.stringify(lock),
    "turbo.json": JSON.stringify(turbo),
    ".gitignore": "node_modules\ndist\n.turbo\nturbo.json\n",
  });
  for (const name of packages) {
    const scripts = { build: buildCommand(name) };
    writeFiles(workspace, {
      [`pkgs/${name}/package.json`]: JSON.stringify({ name, version: "1.0.0", scripts }),
      [`pkgs/${name}/src/in.txt`]: `${word} ${name}\n`,
    });
  }
}

function buildCommand(name: string): string {
  return [
    "mkdir -p dist",
    "(cat src/in.txt; head -c 16 /dev/urandom | od -An -tx8) > dist/out.txt",
    ...(name === "b" ? [`head -c ${bigOutputBytes} /dev/urandom > dist/big.bin`] : []),
  ].join(" && ");
}

/** Turborepo asks Git for the hashes of its inputs. */
async function makeRepository(workspace: string): Promise<void> {
  const author = ["-c", "user.name=spec", "-c", "user.email=spec@localhost"];
  for (const args of [
    ["init", "--quiet"],
    ["add", "."],
    [...author, "commit", "--quiet", "-m", "one"],
  ]) {
    await runClient({ command: ["git", ...args], folder: workspace, env: { HOME: workspace } });
  }
}

/** Hits are what the client calls so at the end; the summary must say of each that it came from the remote cache. */
function readBuild(workspace: string, words: string): Build {
  const counts = /Cached:\s+(\d+) cached, (\d+) total/.exec(words);
  if (counts === null) throw new Error(`Turborepo did not tell its hits:\n${words}`);
  const [cached, total] = [Number(counts[1]), Number(counts[2])];
  const remote = readSummary(workspace).filter(
    ({ cache }) => cache.status === "HIT" && cache.source === "REMOTE",
  );
  if (remote.length !== cached) {
    throw new Error(
      `Turborepo had ${cached} hits, but ${remote.length} of the remote cache:\n${words}`,
    );
  }
  return { hits: cached, misses: total - cached, words, outputs: digestFiles(workspace, outputs) };
}

function readSummary(workspace: string): readonly SummaryTask[] {
  const runs = path.join(workspace, ".turbo/runs");
  const [file, ...others] = fs.readdirSync(runs);
  if (file === undefined || others.length > 0) throw new Error(`${runs} does not hold one summary`);
  const text = fs.readFileSync(path.join(runs, file), "utf8");
  fs.rmSync(path.join(runs, file));
  return (JSON.parse(text) as { tasks: SummaryTask[] }).tasks;
}
