/**
 * Makes dist/kura, one binary of everything. `--if-stale` does nothing while the binary is newer than its sources.
 * `--target darwin-arm64` and its like make dist/kura-darwin-arm64 for another machine.
 * With bytecode `kura --version` takes 16-22 ms instead of 112 (measured on Bun 1.4.5).
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import type { BunPlugin } from "bun";
import { systemClock } from "../runtime/base/clock.ts";
import { second } from "../runtime/base/units.ts";
import { bunOf, bunTarget, parseTarget, type Target, targets } from "./build/target.ts";

export const root = path.dirname(import.meta.dir);
export const binaryPath = path.join(root, "dist", "kura");

/** Every file that a Worker is started from is an entry point of its own, else the binary cannot find it. */
const entryPoints = ["cli/main.ts", "runtime/store/maintenance-worker.ts"];

/** Whatever changes the binary when it changes. */
const sources = [
  "cli",
  "runtime",
  "proto",
  "scripts/build.ts",
  "scripts/build",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
];

/** ink imports react-devtools-core, which is not installed and is only used with DEV=true. */
const withoutDevtools: BunPlugin = {
  name: "without-devtools",
  setup(build) {
    build.onResolve({ filter: /^react-devtools-core$/ }, () => ({
      path: "react-devtools-core",
      namespace: "absent",
    }));
    build.onLoad({ filter: /.*/, namespace: "absent" }, () => ({
      contents: "export default { initialize() {}, connectToDevTools() {} };",
      loader: "js",
    }));
  },
};

/** True when there is no binary or a source (or a folder of sources, for removed files) is newer. */
export function isStale(treeRoot: string, binary: string): boolean {
  const built = fs.statSync(binary, { throwIfNoEntry: false });
  if (built === undefined) return true;
  return sources.some((source) => newestMs(path.join(treeRoot, source)) >= built.mtimeMs);
}

function newestMs(entry: string): number {
  const stats = fs.statSync(entry, { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  const children = fs.readdirSync(entry).map((name) => newestMs(path.join(entry, name)));
  return Math.max(stats.mtimeMs, ...children);
}

/** The commit of the tree, with "+changes" when sources differ from it; "unknown" outside of a Git tree. */
export function commitOf(treeRoot: string): string {
  const git = (...args: string[]): string | null => {
    const done = spawnSync("git", ["-C", treeRoot, ...args], { encoding: "utf8" });
    return done.status === 0 ? done.stdout.trim() : null;
  };
  // An unpacked archive inside of somebody else's Git tree must not claim that tree's commit.
  const top = git("rev-parse", "--show-toplevel");
  if (top === null || path.resolve(top) !== path.resolve(treeRoot)) return "unknown";
  const commit = git("rev-parse", "--short=12", "HEAD");
  if (commit === null) return "unknown";
  const changes = git("status", "--porcelain", "--", ...sources);
  return changes === "" ? commit : `${commit}+changes`;
}

/** Where the binary for a target goes; null is this machine. */
export function binaryOf(target: Target | null): string {
  return target === null ? binaryPath : `${binaryPath}-${target}`;
}

/** Builds into a folder of its own and renames, so that a running or half-built binary is never seen. */
export async function build(target: Target | null = null): Promise<void> {
  const startedSeconds = systemClock.wallMs() / second;
  const workFolder = path.join(root, "dist", `.build-${process.pid}`);
  const outfile = path.join(workFolder, "kura");
  try {
    await compile(outfile, target);
    // A source saved while the build ran is newer than this stamp, so the next `--if-stale` builds again.
    fs.utimesSync(outfile, startedSeconds, startedSeconds);
    fs.renameSync(outfile, binaryOf(target));
  } finally {
    fs.rmSync(workFolder, { recursive: true, force: true });
  }
}

async function compile(outfile: string, target: Target | null): Promise<void> {
  const missing = entryPoints.filter((entry) => !fs.existsSync(path.join(root, entry)));
  if (missing.length > 0) throw new Error(`Cannot build: ${missing.join(", ")} is not in the tree`);
  const compiler =
    target === null ? {} : { target: bunTarget(target), executablePath: bunOf(target, root) };
  const result = await Bun.build({
    entrypoints: entryPoints.map((entry) => path.join(root, entry)),
    root,
    // Settings come from the environment and nowhere else: not from files that lie where the node was started.
    compile: { outfile, autoloadDotenv: false, autoloadBunfig: false, ...compiler },
    target: "bun",
    format: "esm",
    // Made by the engine of this machine, and nobody here could see whether another one takes it.
    bytecode: target === null,
    minify: true,
    // Stack traces name our files and lines; the map lies compressed in the binary and is read on an error only.
    sourcemap: "inline",
    define: {
      KURA_BUILD_COMMIT: JSON.stringify(commitOf(root)),
      "process.env.NODE_ENV": '"production"',
      "process.env.DEV": '"false"',
      // Bun would write the build machine's folders into CommonJS packages; nothing of theirs lies on disk any more.
      __dirname: '"/"',
      __filename: '"/kura"',
    },
    plugins: [withoutDevtools],
  });
  if (!result.success) throw new AggregateError(result.logs, `Cannot build ${outfile}`);
}

type Options = { readonly isIfStale: boolean; readonly target: Target | null };

/** Null when the command line makes no sense. */
function parseOptions(args: readonly string[]): Options | null {
  const [first, second, ...rest] = args;
  if (first === undefined) return { isIfStale: false, target: null };
  if (first === "--if-stale" && second === undefined) return { isIfStale: true, target: null };
  const target = first === "--target" ? parseTarget(second ?? "") : null;
  return target === null || rest.length > 0 ? null : { isIfStale: false, target };
}

if (import.meta.main) {
  const args = process.argv.slice(2);
  const options = parseOptions(args);
  if (options === null) {
    const usage = `npm run build [-- --if-stale | -- --target ${targets.join("|")}]`;
    console.error(`Cannot read the options ${args.join(" ")}. Usage: ${usage}`);
    process.exit(64);
  }
  const { isIfStale, target } = options;
  if (isIfStale && !isStale(root, binaryPath)) process.exit(0);
  const startedMs = systemClock.monotonicMs();
  await build(target);
  const binary = binaryOf(target);
  const sizeMB = Math.round(fs.statSync(binary).size / 1e6);
  const tookMs = Math.round(systemClock.monotonicMs() - startedMs);
  console.error(`Built ${path.relative(root, binary)}: ${sizeMB} MB in ${tookMs} ms`);
}
