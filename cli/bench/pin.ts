import { allowedCores } from "./proc.ts";

/** Cores for server and generator, so that neither takes time from the other. */
export type Pinning = { readonly server: readonly number[]; readonly generator: number };

/** The last core for the load, all others for the server; null with one core, or without taskset(1). */
export function choosePinning(): Pinning | null {
  const cores = allowedCores();
  const generator = cores.at(-1);
  if (cores.length < 2 || generator === undefined || Bun.which("taskset") === null) return null;
  return { server: cores.slice(0, -1), generator };
}

/** What stands before the command line of a server; it execs, so that the process id is the server's. */
export function launcherOf(pinning: Pinning | null): string[] {
  return pinning === null ? [] : ["taskset", "-c", pinning.server.join(",")];
}

/** Moves all threads of this process to its core. */
export function pinThisProcess(pinning: Pinning): void {
  Bun.spawnSync(["taskset", "-a", "-p", "-c", String(pinning.generator), String(process.pid)], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
}
