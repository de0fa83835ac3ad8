import fs from "node:fs";
import path from "node:path";
import { realDisk } from "../../runtime/base/real-disk.ts";
import { findMemoryGroups, type MemoryGroup } from "../../runtime/config/memory-group.ts";
import { memorySources } from "../../runtime/observe/memory-sources.ts";
import { until } from "./node-process.ts";

/** A control group with a memory limit, made for a spec; removed with what lives in it. */
export type SpecGroup = AsyncDisposable & {
  readonly limitBytes: number;
  /** Put before a command, so that its process lives in the group from its first instruction. */
  readonly launcher: readonly string[];
  /** What a node in the group goes by. */
  usedBytes(): number;
  /** Processes that the system has ended because of the limit. */
  kills(): number;
  /** A process in the group that holds this much, once it does. */
  hold(bytes: number): Promise<Disposable>;
};

/** Names of the files by the version of the control groups, and of the line that counts kills. */
const files = {
  1: { limit: "memory.limit_in_bytes", events: "memory.oom_control" },
  2: { limit: "memory.max", events: "memory.events" },
} as const;

let made = 0;

/** A group below our own, or why none can be made on this machine. */
export function makeMemoryGroup(limitBytes: number): SpecGroup | { readonly reason: string } {
  const [own] = findMemoryGroups(realDisk);
  if (own === undefined) return { reason: "this machine has no control groups for memory" };
  made += 1;
  const folder = path.join(own.folder, `kura-spec-${process.pid}-${made}`);
  try {
    fs.mkdirSync(folder);
  } catch (error) {
    return { reason: `no group can be made below ${own.folder}: ${String(error)}` };
  }
  const group = { version: own.version, folder, limitBytes };
  try {
    fs.writeFileSync(path.join(folder, files[own.version].limit), String(limitBytes));
    // One process tries it out: a group of version 2 takes none while those above it have some of their own.
    const tried = Bun.spawnSync([...launcherOf(group), "true"]);
    if (tried.exitCode !== 0) throw new Error(tried.stderr.toString());
  } catch (error) {
    fs.rmdirSync(folder);
    return { reason: `the group ${folder} cannot be used: ${String(error)}` };
  }
  return new MadeGroup(group);
}

function launcherOf({ folder }: MemoryGroup): string[] {
  const join = `echo $$ > ${path.join(folder, "cgroup.procs")} && exec "$@"`;
  return ["sh", "-c", join, "join"];
}

class MadeGroup implements SpecGroup {
  readonly #group: MemoryGroup;
  readonly #holders: Bun.Subprocess[] = [];
  readonly launcher: readonly string[];

  constructor(group: MemoryGroup) {
    this.#group = group;
    this.launcher = launcherOf(group);
  }

  get limitBytes(): number {
    return this.#group.limitBytes;
  }

  usedBytes(): number {
    const [source] = memorySources(this.#group);
    const usedBytes = source?.sum(fs.readFileSync(source.path, "utf8")) ?? null;
    if (usedBytes === null) throw new Error(`Cannot read the memory of ${this.#group.folder}`);
    return usedBytes;
  }

  kills(): number {
    const { folder, version } = this.#group;
    const text = fs.readFileSync(path.join(folder, files[version].events), "utf8");
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1]);
  }

  async hold(bytes: number): Promise<Disposable> {
    const script = `const held = new Uint8Array(${bytes}).fill(1); console.log(held.length); setInterval(() => held[0]++, 1e6);`;
    const command = [...this.launcher, process.execPath, "-e", script];
    const holder = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
    this.#holders.push(holder);
    await holder.stdout.getReader().read();
    return { [Symbol.dispose]: () => holder.kill("SIGKILL") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { folder } = this.#group;
    for (const holder of this.#holders) holder.kill("SIGKILL");
    await Promise.all(this.#holders.map(({ exited }) => exited));
    const isEmpty = (): boolean => fs.readFileSync(`${folder}/cgroup.procs`, "utf8") === "";
    await until("all processes of the group have ended", isEmpty);
    fs.rmdirSync(folder);
  }
}
