import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { root } from "./build.ts";

/** What a tool said; `isClean` when it found nothing. */
export type Verdict = { readonly isClean: boolean; readonly output: string };

/** The compiler over the whole tree. What it learnt is kept, so that the next run checks only what changed. */
export function checkTypes(): Verdict {
  const cache = path.join(root, "node_modules", ".cache");
  fs.mkdirSync(cache, { recursive: true });
  const script = path.join(root, "node_modules", "typescript", "bin", "tsc");
  const memory = path.join(cache, "types.tsbuildinfo");
  return run([script, "--noEmit", "--incremental", "--tsBuildInfoFile", memory]);
}

/** Formatter and linter over the whole tree. */
export function checkFormat(): Verdict {
  return run([path.join(root, "node_modules", "@biomejs", "biome", "bin", "biome"), "check", "."]);
}

/** Both are started by Bun, so that neither needs a second JavaScript runtime on the PATH. */
function run(command: readonly string[]): Verdict {
  const done = spawnSync(process.execPath, command, { cwd: root, encoding: "utf8" });
  return { isClean: done.status === 0, output: `${done.stdout}${done.stderr}`.trim() };
}
