import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { minute } from "../../runtime/base/units.ts";

/** Nx alone took 56 s over a plain connection; a registry that is silent for longer is not there. */
export const installMsMax = 5 * minute;

/**
 * Installs the npm packages of a client once and returns the folder that holds their `node_modules`. Later runs take
 * what is there without a network. The first package names the folder; versions are exact.
 * @throws Error when the registry cannot be reached or lacks a version, with npm's words; nothing is left behind.
 */
export async function installClient(packages: Readonly<Record<string, string>>): Promise<string> {
  const [first] = Object.entries(packages);
  if (first === undefined) throw new Error("Cannot install a client: no package was named");
  const [name, version] = first;
  return await installOnce(`${name.replaceAll("/", "+")}-${version}`, (folder) =>
    npmInstall(folder, packages),
  );
}

/** The folder of that name in the cache of clients; `fill` makes it when it is not there, whole or not at all. */
export async function installOnce(
  name: string,
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const cache = cacheFolder();
  const target = path.join(cache, name);
  if (fs.existsSync(target)) return target;

  const fresh = fs.mkdtempSync(path.join(cache, ".installing-"));
  try {
    await fill(fresh);
    publish(fresh, target);
  } finally {
    fs.rmSync(fresh, { recursive: true, force: true });
  }
  return target;
}

/**
 * The full path of a program of the system.
 * @throws Error that names the command which installs it: a client that is not there fails its spec, it is not skipped.
 */
export function requireProgram(name: string, installCommand: string): string {
  // Debian keeps servers in sbin, which is not on every user's path.
  const found = Bun.which(name, { PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` });
  if (found !== null) return found;
  throw new Error(
    `Cannot find the program "${name}" on PATH: install it with \`${installCommand}\``,
  );
}

/** Outside the project, so that a clean checkout does not install again; readable by its owner only. */
function cacheFolder(): string {
  const base = process.env.XDG_CACHE_HOME ?? os.tmpdir();
  const folder = path.join(base, "kura-client-packages");
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (fs.statSync(folder).uid !== process.getuid?.()) {
    throw new Error(
      `Cannot use ${folder}: it belongs to another user, whose code the specs would run; set XDG_CACHE_HOME`,
    );
  }
  return folder;
}

async function npmInstall(
  folder: string,
  packages: Readonly<Record<string, string>>,
): Promise<void> {
  fs.writeFileSync(path.join(folder, "package.json"), `{"private":true,"name":"kura-client"}\n`);
  const wanted = Object.entries(packages).map(([name, version]) => `${name}@${version}`);
  const options = [
    "--prefix",
    folder,
    "--save-exact",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
  ];
  const child = Bun.spawn(
    [requireProgram("npm", "apt-get install npm"), "install", ...options, ...wanted],
    {
      cwd: folder,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      timeout: installMsMax,
    },
  );
  const [said, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (code === 0) return;
  throw new Error(
    `Cannot install ${wanted.join(", ")} from the npm registry (exit ${code}): the first run of this spec needs it, later ones do not. npm said:\n${said}`,
  );
}

/** One rename makes the folder appear whole. Two runs at once: the first wins, the other's copy goes. */
function publish(fresh: string, target: string): void {
  try {
    fs.renameSync(fresh, target);
  } catch (error) {
    if (!fs.existsSync(target)) throw error;
  }
}
