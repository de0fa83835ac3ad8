import type { ValueKind } from "./value.ts";

/** Where a value came from. A flag of the command line beats the environment, which beats the rest. */
export type Source = "flag" | "environment" | "derived" | "default";

/** Names and texts as the process got them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a derivation may look at: limits of the machine and the rows above its own. */
export type Given = {
  readonly machine: Machine;
  number(name: string): number;
  text(name: string): string;
};

/** Limits found on this machine. Bytes and counts, all above 0. */
export type Machine = {
  /** Most files this process may have open. */
  readonly descriptorLimit: number;
  /** Memory of the control group, or of the machine where there is no limit. */
  readonly memoryLimitBytes: number;
  readonly cpuCount: number;
  readonly hostName: string;
  /** Size of the file system that holds this folder, or would hold it once it is made. */
  readonly fileSystemBytes: (folder: string) => number;
};

/** The value without a setting: fixed, or computed from what is given. */
export type Fallback<T> =
  | { readonly at: "fixed"; readonly value: T }
  | { readonly at: "derived"; readonly formula: string; readonly derive: (given: Given) => T };

/**
 * One row of the table. `name` is that of the environment variable.
 * `planned` rows are parsed and shown, but nothing in this version acts on them.
 */
export type Setting<T> = {
  readonly name: string;
  readonly kind: ValueKind<T>;
  readonly fallback: Fallback<T>;
  readonly help: string;
  readonly since: "now" | "planned";
};

export function row<T>(
  name: string,
  kind: ValueKind<T>,
  fallback: Fallback<T>,
  help: string,
): Setting<T> {
  return { name, kind, fallback, help, since: "now" };
}

export function planned<T>(
  name: string,
  kind: ValueKind<T>,
  fallback: Fallback<T>,
  help: string,
): Setting<T> {
  return { name, kind, fallback, help, since: "planned" };
}

export function fixed<T>(value: T): Fallback<T> {
  return { at: "fixed", value };
}

/** `formula` is what `kura inspect config` prints, so it names settings and units the way a reader would. */
export function derived<T>(formula: string, derive: (given: Given) => T): Fallback<T> {
  return { at: "derived", formula, derive };
}
