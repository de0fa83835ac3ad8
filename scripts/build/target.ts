/**
 * Builds for machines other than this one need their Bun, which npm has as a package for each platform. The version and
 * the checksum are those of package-lock.json, so that a build cannot take in what nobody has chosen.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { minute } from "../../runtime/base/units.ts";

/** Machines that `--target` can name, with the npm package of their Bun. */
const packages = {
  "darwin-arm64": "@oven/bun-darwin-aarch64",
  "linux-arm64": "@oven/bun-linux-aarch64",
  "linux-x64": "@oven/bun-linux-x64",
} as const;
export type Target = keyof typeof packages;

export const targets = Object.keys(packages) as Target[];

/** 40 MB over a slow line. */
const downloadMsMax = 10 * minute;

export function parseTarget(text: string): Target | null {
  return targets.find((target) => target === text) ?? null;
}

/** What Bun calls the target. */
export function bunTarget(target: Target): Bun.Build.CompileTarget {
  return `bun-${target}`;
}

/**
 * The Bun of a target as a file, from `node_modules/.cache` or, the first time, from the npm registry.
 * @throws Error when it cannot be had, or is not what the lock file promises; nothing is left behind then.
 */
export function bunOf(target: Target, root: string): string {
  const name = packages[target];
  const { version, integrity } = lockedPackage(root, name);
  const cache = path.join(root, "node_modules", ".cache", "kura-bun");
  const home = path.join(cache, `${name.replace("/", "+")}-${version}`);
  const program = path.join(home, "package", "bin", "bun");
  if (fs.existsSync(program)) return program;

  fs.mkdirSync(cache, { recursive: true });
  const fresh = fs.mkdtempSync(path.join(cache, ".fetching-"));
  try {
    const archive = download(`${name}@${version}`, fresh);
    checkIntegrity(archive, integrity);
    run("tar", ["-xzf", archive, "-C", fresh]);
    fs.rmSync(archive);
    fs.rmSync(home, { recursive: true, force: true });
    fs.renameSync(fresh, home);
  } finally {
    fs.rmSync(fresh, { recursive: true, force: true });
  }
  if (fs.existsSync(program)) return program;
  throw new Error(`Cannot build for ${target}: ${name}@${version} has no bin/bun`);
}

type Locked = { readonly version: string; readonly integrity: string };

function lockedPackage(root: string, name: string): Locked {
  const text = fs.readFileSync(path.join(root, "package-lock.json"), "utf8");
  const lock = JSON.parse(text) as { packages: Record<string, Partial<Locked>> };
  const { version, integrity } = lock.packages[`node_modules/${name}`] ?? {};
  if (version !== undefined && integrity !== undefined) return { version, integrity };
  throw new Error(`Cannot fetch ${name}: package-lock.json does not name its version and checksum`);
}

/** `npm pack` takes the registry, proxy and credentials that the user of npm has set. */
function download(wanted: string, folder: string): string {
  run("npm", ["pack", wanted, "--pack-destination", folder, "--silent"]);
  const [archive] = fs.readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  if (archive !== undefined) return path.join(folder, archive);
  throw new Error(`Cannot fetch ${wanted}: npm pack ended well and left no archive`);
}

/** @throws Error when the file does not have the checksum, which is in the form of npm: `sha512-` and base64. */
export function checkIntegrity(file: string, integrity: string): void {
  const actual = `sha512-${createHash("sha512").update(fs.readFileSync(file)).digest("base64")}`;
  if (actual === integrity) return;
  const name = path.basename(file);
  throw new Error(`Cannot use ${name}: package-lock.json promises ${integrity}, it has ${actual}`);
}

function run(program: string, args: readonly string[]): void {
  const done = spawnSync(program, args, { encoding: "utf8", timeout: downloadMsMax });
  if (done.status === 0) return;
  const said = done.error?.message ?? done.stderr;
  throw new Error(`Cannot run ${program} ${args.join(" ")} (exit ${done.status}): ${said}`);
}
