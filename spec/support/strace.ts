import fs from "node:fs";
import { second } from "../../runtime/base/units.ts";
import { until } from "./node-process.ts";

/**
 * Faults in system calls, by strace. Two facts shape the specs that use it (strace 6.1, seen 2026-11-22):
 * `when=n` counts each thread and each system call by itself, so the n-th call may be reached by several threads and
 * the first one there gets the fault; and with paths only calls on these paths are traced, counted and hit.
 */

/** Every call that can change what is on disk. */
export const changingCalls = [
  "write",
  "pwrite64",
  "writev",
  "pwritev",
  "fsync",
  "fdatasync",
  "ftruncate",
  "rename",
  "unlink",
  "openat",
  "mkdir",
] as const;
export type ChangingCall = (typeof changingCalls)[number];

export type Injection = {
  readonly calls: readonly ChangingCall[];
  readonly effect:
    | { readonly error: "EIO" | "ENOSPC" | "EDQUOT" }
    | { readonly signal: "SIGKILL" }
    /** The call begins so much later, or when the tracing ends. */
    | { readonly delayMs: number };
  /** Which call, counted from 1; every one from there on when `isForEver`; every one at all when absent. */
  readonly nth?: number;
  readonly isForEver?: boolean;
};

export type TraceOptions = {
  readonly traceFile: string;
  readonly calls: readonly ChangingCall[];
  /** Only calls on these paths; all when absent. */
  readonly paths?: readonly string[];
  readonly injection?: Injection;
};

/** Puts strace before a program: with -D it is a grandchild, so that the pid stays the program's own. */
export function straceLauncher(options: TraceOptions): string[] {
  const effect = options.injection?.effect;
  // The filter spares the stops of all other calls. With it injected signals never arrive, injected errors do (6.1).
  const filter = effect !== undefined && "signal" in effect ? [] : ["--seccomp-bpf"];
  return ["strace", "-D", "-f", ...filter, ...traceArguments(options)];
}

export interface AttachedTrace {
  /** Ends the tracing, and with it the faults; the process goes on. */
  detach(): Promise<void>;
}

const attachMsMax = 20 * second;

/** Begins to trace a running process, all its threads. */
export async function attachStrace(pid: number, options: TraceOptions): Promise<AttachedTrace> {
  const command = ["strace", "-f", ...traceArguments(options), "-p", String(pid)];
  const strace = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  let said = "";
  const decoder = new TextDecoder();
  const listen = async (): Promise<void> => {
    const reader = strace.stderr.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      said += decoder.decode(value);
    }
  };
  const heard = listen();
  await until(
    `strace attaching to ${pid}: ${said}`,
    () => said.includes("attached") || strace.exitCode !== null,
    attachMsMax,
  );
  if (!said.includes("attached")) throw new Error(`Cannot attach strace to ${pid}: ${said}`);
  return {
    async detach() {
      strace.kill("SIGINT");
      await strace.exited;
      await heard;
    },
  };
}

function traceArguments({ traceFile, calls, paths, injection }: TraceOptions): string[] {
  const made = ["-y", "-ttt", "-s", "0", "-e", "signal=none", "-o", traceFile];
  made.push("-e", `trace=${calls.join(",")}`);
  for (const path of paths ?? []) made.push("-P", path);
  if (injection !== undefined) made.push("-e", `inject=${injectionText(injection)}`);
  return made;
}

function injectionText({ calls, effect, nth, isForEver }: Injection): string {
  const what = effectText(effect);
  const when = nth === undefined ? "" : `:when=${nth}${isForEver ? "+" : ""}`;
  return `${calls.join(",")}:${what}${when}`;
}

function effectText(effect: Injection["effect"]): string {
  if ("error" in effect) return `error=${effect.error}`;
  return "signal" in effect ? `signal=${effect.signal}` : `delay_enter=${effect.delayMs * 1_000}`;
}

export type TracedCall = {
  readonly thread: number;
  /** Wall clock when the call began, in ms. */
  readonly startMs: number;
  readonly call: string;
  /** It makes a file. */
  readonly isCreating: boolean;
  /** The file it works on; empty when the trace shows none. */
  readonly path: string;
  readonly isInjected: boolean;
  /** The process died in it. */
  readonly isUnfinished: boolean;
};

const linePattern = /^(\d+) +(\d+\.\d+) (.*)$/;
const callPattern = /^(\w+)\((.*)$/;

/** Reads a trace that was written with -f -y -ttt, in the order in which calls began. */
export function readTrace(traceFile: string): TracedCall[] {
  const calls: { -readonly [Name in keyof TracedCall]: TracedCall[Name] }[] = [];
  const openByThread = new Map<number, number>();
  for (const line of fs.readFileSync(traceFile, "latin1").split("\n")) {
    const [, thread, seconds, rest] = linePattern.exec(line) ?? [];
    if (rest === undefined) continue;
    if (rest.startsWith("<... ")) {
      const open = calls[openByThread.get(Number(thread)) ?? -1];
      if (open !== undefined) Object.assign(open, ending(rest));
      continue;
    }
    const [, call, text] = callPattern.exec(rest) ?? [];
    if (call === undefined || text === undefined) continue;
    openByThread.set(Number(thread), calls.length);
    const startMs = Number(seconds) * second;
    const isCreating = text.includes("O_CREAT");
    const made = { thread: Number(thread), startMs, call, path: pathIn(text), isCreating };
    calls.push({ ...made, ...ending(rest) });
  }
  return calls;
}

function ending(text: string): { isInjected: boolean; isUnfinished: boolean } {
  const isUnfinished = text.includes("<unfinished ...>") || / = \?( |$)/.test(text);
  return { isInjected: text.includes("(INJECTED"), isUnfinished };
}

/** `12</a/b>, ...` is the file of a descriptor; a quoted text is a path by itself. */
function pathIn(text: string): string {
  const descriptor = /^\d+<([^>]*)>/.exec(text)?.[1];
  if (descriptor !== undefined) return descriptor.replace(/\((deleted)\)$/, "").trim();
  const quoted = [...text.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? "");
  return quoted.at(-1) ?? "";
}
