import { Fault } from "../../runtime/base/fault.ts";

/** What can be made to fail. Calls of the index count in the same sequence as those of the disk. */
export type CallKind =
  | "create"
  | "open"
  | "read"
  | "write"
  | "sync"
  | "syncFolder"
  | "remove"
  | "rename"
  | "indexOpen"
  | "indexApply"
  | "checkpoint";

export type Call = { readonly number: number; readonly kind: CallKind; readonly path: string };

/** One way to fail. */
export type Failure = {
  /** Number of the call that fails, from 1. */
  readonly at: number;
  /** `once`: only that call. `forever`: from then on every call of this kind, until `heal`. */
  readonly times: "once" | "forever";
  readonly code: "EIO" | "ENOSPC";
  /** For a write, share of the bytes that land all the same; for the index, 1 means that the commit took place. */
  readonly effect: number;
  /** Fails this kind only, and counts only calls of it, unless `byNumber` says that `at` counts all calls. */
  readonly kind?: CallKind;
  readonly byNumber?: boolean;
};

/** The machine was switched off while this call ran. Nothing it would have done has happened. */
export class PowerIsOff extends Error {
  constructor() {
    super("The simulated machine is off");
    this.name = "PowerIsOff";
  }
}

/** Counts the calls of one life of a machine, fails those that are to fail, and switches the power off at one. */
export class SimCalls {
  readonly trace: Call[] = [];
  /** Calls that failed on purpose. */
  readonly failed: Call[] = [];
  #failures: Failure[] = [];
  #isOff = false;
  /** The power goes off before the call with this number takes place. */
  offAt = Number.MAX_SAFE_INTEGER;

  get isOff(): boolean {
    return this.#isOff;
  }

  get count(): number {
    return this.trace.length;
  }

  switchOff(): void {
    this.#isOff = true;
  }

  fail(failure: Failure): void {
    this.#failures.push(failure);
  }

  /** From here on everything works. */
  heal(): void {
    this.#failures = [];
  }

  /** Notes a call; throws when the power is off, returns how it fails, or null when it does not. */
  begin(kind: CallKind, path: string): Failure | null {
    if (this.#isOff) throw new PowerIsOff();
    if (this.trace.length + 1 >= this.offAt) {
      this.#isOff = true;
      throw new PowerIsOff();
    }
    const call: Call = { number: this.trace.length + 1, kind, path };
    this.trace.push(call);
    const failure = this.#failures.find((each) => this.#matches(each, call)) ?? null;
    if (failure !== null) this.failed.push(call);
    return failure;
  }

  #matches(failure: Failure, call: Call): boolean {
    const { at, times, kind, byNumber = false } = failure;
    if (kind !== undefined && kind !== call.kind) return false;
    const number = kind === undefined || byNumber ? call.number : this.#countOf(kind);
    if (times === "once") return number === at;
    return number >= at && (kind !== undefined || this.trace[at - 1]?.kind === call.kind);
  }

  #countOf(kind: CallKind): number {
    return this.trace.reduce((count, call) => count + (call.kind === kind ? 1 : 0), 0);
  }
}

export function diskFault(what: string, code: "EIO" | "ENOSPC" | "EEXIST" | "ENOENT"): Fault {
  const cause = Object.assign(new Error(code), { code });
  return new Fault(code === "ENOSPC" ? "full" : "internal", `Cannot ${what}: ${code}`, { cause });
}
