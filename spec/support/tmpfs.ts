import fs from "node:fs";

/** A file system of a fixed size in memory, for specs that must fill one. */
export type Tmpfs = { readonly path: string; unmount(): void };

/** Mounts at `path`, which is made. @throws when the machine does not let us: the spec needs it, it does not skip. */
export function mountTmpfs(path: string, sizeBytes: number): Tmpfs {
  fs.mkdirSync(path, { recursive: true });
  runAsRoot(["mount", "-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", path]);
  return { path, unmount: () => runAsRoot(["umount", "--lazy", path]) };
}

/** @throws when it does not end well. */
export function runAsRoot(command: string[]): void {
  const result = Bun.spawnSync(command, { stderr: "pipe" });
  if (result.exitCode === 0) return;
  throw new Error(`Cannot run ${command.join(" ")} (it takes root): ${result.stderr.toString()}`);
}
