import { Fault } from "../runtime/base/fault.ts";
import { realDisk } from "../runtime/base/real-disk.ts";
import { type LoadedConfig, loadConfig } from "../runtime/config/load.ts";
import { findMachine } from "../runtime/config/machine.ts";
import type { Environment } from "../runtime/config/setting.ts";

/** Environment, then the flags of the command line over it; `problems` tells whether a node could start with it. */
export function readConfig(env: Environment, flags: Environment): LoadedConfig {
  return loadConfig({ env, flags, machine: findMachine(realDisk) });
}

/**
 * The configuration that a node starts with.
 * @throws Fault "configuration" whose message has one line for every problem, and then for every warning: a misspelt
 * name may be why something else is missing.
 */
export function requireConfig(env: Environment, flags: Environment): LoadedConfig {
  const loaded = readConfig(env, flags);
  if (loaded.problems.length === 0) return loaded;
  const warnings = loaded.warnings.map((warning) => `warning: ${warning}`);
  throw new Fault("configuration", [...loaded.problems, ...warnings].join("\n"));
}
