import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { makeTemporaryFolder, projectFolder } from "../../support/node-process.ts";

export type Run = { readonly code: number; readonly stdout: string; readonly stderr: string };

type RunOptions = { readonly env?: Record<string, string>; readonly cwd?: string };

/** Longer than any command takes on a loaded machine: a command that hangs fails with 137 instead of hanging us. */
const runMsMax = 20_000;

/** Runs one command line of the binary under test to its end, with nothing of our own settings in its environment. */
export async function kura(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const binary = path.resolve(projectFolder, process.env.KURA_SPEC_BINARY ?? "dist/kura");
  const program = binary.endsWith(".ts") ? [process.execPath, binary] : [binary];
  const child = Bun.spawn([...program, ...args], {
    cwd: options.cwd ?? os.tmpdir(),
    env: { PATH: process.env.PATH ?? "", HOME: os.homedir(), ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: runMsMax,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** Lines of stderr for people; log lines are JSON. */
export function complaints({ stderr }: Run): string[] {
  return stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
}

/** A folder that is removed with everything in it. */
export function scratch(): { readonly folder: string; [Symbol.dispose](): void } {
  const folder = makeTemporaryFolder("cli-spec");
  return { folder, [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }) };
}
