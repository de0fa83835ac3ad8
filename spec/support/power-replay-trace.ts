import fs from "node:fs";
import path from "node:path";
import { MiB, second } from "../../runtime/base/units.ts";

/**
 * A trace with the bytes of every change, for the replay of power cuts. Everything strace prints as text is in hex, so
 * that no path and no content can look like syntax.
 */
const dataCalls = ["write", "writev", "pwrite64", "pwritev", "pwritev2"] as const;
const syncCalls = ["fsync", "fdatasync"] as const;
const pathCalls = ["openat", "open", "creat", "unlink", "unlinkat", "mkdir", "mkdirat"] as const;
/** Nothing in Kura makes these in a data directory while it runs; the replay refuses a trace that has one. */
const unknownCalls = [
  "truncate",
  "fallocate",
  "rename",
  "renameat",
  "renameat2",
  "rmdir",
  "link",
  "linkat",
  "symlink",
  "symlinkat",
  "copy_file_range",
] as const;

/** A whole group commit is one write, and it must be in the trace to its last byte. */
const stringBytesMax = 64 * MiB;

/** Puts strace before a program; the pid stays the program's own. */
export function powerTraceLauncher(traceFile: string): string[] {
  const calls = [...dataCalls, ...syncCalls, ...pathCalls, ...unknownCalls, "ftruncate"].join(",");
  const shown = ["-y", "-ttt", "-xx", "-s", String(stringBytesMax), "-e", "signal=none"];
  return ["strace", "-D", "-f", "--seccomp-bpf", ...shown, "-e", `trace=${calls}`, "-o", traceFile];
}

/** What one call changes. Paths are relative to the data directory, which itself is the empty path. */
export type TracedChange =
  | { readonly at: "write"; readonly path: string; readonly startBytes: number; bytes: Uint8Array }
  | { readonly at: "truncate"; readonly path: string; readonly sizeBytes: number }
  /** The file may be there already. */
  | { readonly at: "create"; readonly path: string; readonly isEmptied: boolean }
  | { readonly at: "makeFolder"; readonly path: string }
  | { readonly at: "remove"; readonly path: string }
  | { readonly at: "sync"; readonly path: string };

/**
 * Begin or end of a call. strace sees the begin before the kernel does anything and the end after it has done all, so
 * a write whose end comes before the begin of a sync is covered by that sync.
 */
export type TraceEvent = {
  readonly phase: "begins" | "ends";
  readonly call: number;
  /** Wall clock; for the end of a call that nothing interrupted it is that of the begin, so too early. */
  readonly atMs: number;
  readonly change: TracedChange;
};

/** The strace that traces a process; to be asked for while both live. */
export function tracerOf(pid: number): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^TracerPid:\s+(\d+)$/m.exec(status)?.[1] ?? 0);
}

/**
 * Whether a tracer has ended: before that it may still write to its trace. Its last lines prove nothing, since one
 * whose program was killed may end without them (seen with strace 6.1).
 */
export function isTracerGone(tracer: number): boolean {
  try {
    // A zombie that nobody has waited for yet.
    return /\) Z /.test(fs.readFileSync(`/proc/${tracer}/stat`, "utf8"));
  } catch {
    return true;
  }
}

/**
 * The changes of a data directory, in the order in which strace saw them; calls that failed are left out.
 * @throws when a call never ended, or is none that the replay knows.
 */
export function readPowerTrace(traceFile: string, dataDir: string): TraceEvent[] {
  const reader = new TraceReader(dataDir);
  const trace = fs.readFileSync(traceFile, "latin1");
  for (let start = 0; start < trace.length; ) {
    const end = trace.indexOf("\n", start);
    const stop = end < 0 ? trace.length : end;
    reader.takeLine(trace.slice(start, stop));
    start = stop + 1;
  }
  return reader.finish();
}

type OpenCall = { readonly text: string; readonly atMs: number; readonly place: number };

const unfinishedMark = "<unfinished ...>";
const headBytesMax = 64;

class TraceReader {
  readonly #dataDir: string;
  readonly #events: (TraceEvent | null)[] = [];
  readonly #open = new Map<string, OpenCall>();
  #calls = 0;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  takeLine(line: string): void {
    const [head, thread, seconds] = /^(\d+) +(\d+\.\d+) /.exec(line.slice(0, headBytesMax)) ?? [];
    if (head === undefined || thread === undefined) return;
    const atMs = Number(seconds) * second;
    const text = line.slice(head.length);
    if (text.startsWith("<... ")) {
      const open = this.#open.get(thread);
      if (open === undefined) return;
      this.#open.delete(thread);
      this.#add(open, text.slice(text.indexOf("resumed>") + "resumed>".length), atMs);
    } else if (text.endsWith(unfinishedMark)) {
      const begun = text.slice(0, -unfinishedMark.length);
      // The begin keeps its place: what comes next in the trace came after it.
      this.#open.set(thread, { text: begun, atMs, place: this.#events.push(null) - 1 });
    } else if (/^\w+\(/.test(text.slice(0, headBytesMax))) {
      this.#add({ text, atMs, place: this.#events.push(null) - 1 }, "", atMs);
    }
  }

  finish(): TraceEvent[] {
    for (const { text } of this.#open.values()) {
      const change = readChange(text, Number.POSITIVE_INFINITY, this.#dataDir);
      if (change === null || change.at === "sync") continue;
      throw new Error(`The trace ends within a ${change.at} of ${change.path}: record it again`);
    }
    return this.#events.filter((event) => event !== null);
  }

  #add({ text, atMs, place }: OpenCall, rest: string, endMs: number): void {
    const whole = rest === "" ? text : text.trimEnd() + rest;
    const result = /\) += (-?\d+)/.exec(whole.slice(whole.lastIndexOf(") ")))?.[1];
    if (result === undefined || Number(result) < 0) return;
    const change = readChange(whole, Number(result), this.#dataDir);
    if (change === null) return;
    const call = this.#calls++;
    this.#events[place] = { phase: "begins", call, atMs, change };
    this.#events.push({ phase: "ends", call, atMs: endMs, change });
  }
}

/** What a call does to the data directory; null when nothing. */
function readChange(text: string, result: number, dataDir: string): TracedChange | null {
  const name = text.slice(0, text.indexOf("("));
  if (isOf(unknownCalls, name)) {
    if (!text.includes(hexOf(dataDir))) return null;
    // Hints get their names this way. None of them is needed: an image has the other name, which nobody reads.
    if (name.startsWith("rename") && text.includes(hexOf(".next"))) return null;
    throw new Error(`The trace has ${name} in ${dataDir}, which the replay does not know`);
  }
  const found = isOf(pathCalls, name) ? namedPath(text) : descriptorPath(text);
  if (found === null) return null;
  const within = path.relative(dataDir, found);
  if (within.startsWith("..")) return null;
  if (isOf(dataCalls, name)) return readWrite(name, text, result, within);
  if (isOf(syncCalls, name)) return { at: "sync", path: within };
  switch (name) {
    case "ftruncate":
      return { at: "truncate", path: within, sizeBytes: lastNumber(text) };
    case "unlink":
    case "unlinkat":
      return { at: "remove", path: within };
    case "mkdir":
    case "mkdirat":
      return { at: "makeFolder", path: within };
    default: {
      const isEmptied = name === "creat" || text.includes("O_TRUNC");
      const isMade = name === "creat" || text.includes("O_CREAT");
      return isMade || isEmptied ? { at: "create", path: within, isEmptied } : null;
    }
  }
}

function isOf(names: readonly string[], name: string): boolean {
  return names.includes(name);
}

/** The path of a call that names one; a relative one starts at the folder that was shown before it. */
function namedPath(text: string): string | null {
  const [, folder, named] = /\((?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"/.exec(text) ?? [];
  return named === undefined ? null : path.resolve(unhex(folder ?? ""), unhex(named));
}

/** The path of the file behind the first descriptor; null for what has none (any more). */
function descriptorPath(text: string): string | null {
  const [, file, isGone] =
    /^\w+\(\d+<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?/.exec(text.slice(0, 8_192)) ?? [];
  if (file === undefined || isGone !== undefined) return null;
  const plain = unhex(file);
  return plain.startsWith("/") && !plain.endsWith(" (deleted)") ? plain : null;
}

function readWrite(name: string, text: string, result: number, within: string): TracedChange {
  if (name === "write" || name === "writev") {
    throw new Error(`The trace has ${name} of ${within}, which does not tell its place`);
  }
  const pieces: Buffer[] = [];
  let at = text.indexOf(">") + 1;
  for (;;) {
    const start = text.indexOf('"', at);
    if (start < 0) break;
    const end = text.indexOf('"', start + 1);
    pieces.push(unhexBytes(text.slice(start + 1, end)));
    at = end + 1;
  }
  const bytes = Buffer.concat(pieces);
  const countBytes = Number.isFinite(result) ? result : bytes.length;
  if (bytes.length < countBytes) {
    throw new Error(
      `The trace has ${bytes.length} of the ${countBytes} bytes written to ${within}`,
    );
  }
  const places = [...text.slice(at).matchAll(/, (\d+)/g)].map((match) => Number(match[1]));
  // pwrite64 ends with count and place, the vectors with count and place too, pwritev2 with flags behind them.
  const startBytes = places[1];
  if (startBytes === undefined)
    throw new Error(`The trace has no place in the ${name} of ${within}`);
  return { at: "write", path: within, startBytes, bytes: bytes.subarray(0, countBytes) };
}

function lastNumber(text: string): number {
  const shown = /, (\d+)\)/.exec(text)?.[1];
  if (shown === undefined) throw new Error(`The trace has no number in ${text}`);
  return Number(shown);
}

function hexOf(text: string): string {
  return [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

function unhex(text: string): string {
  return unhexBytes(text).toString("utf8");
}

function unhexBytes(text: string): Buffer {
  return Buffer.from(text.replaceAll("\\x", ""), "hex");
}
