import { assert } from "../base/assert.ts";
import { MiB } from "../base/units.ts";
import { checkEnvironment, checkRelations } from "./check.ts";
import type { Environment, Given, Machine, Setting, Source } from "./setting.ts";
import { type Config, type Field, type SettingValue, table } from "./table.ts";
import { showBytes } from "./value.ts";

export type LoadedConfig = {
  readonly config: Config;
  /** Where each value came from. */
  readonly sources: Readonly<Record<Field, Source>>;
  /** Every reason not to start, one sentence each; with any of them `config` is not to be used. */
  readonly problems: readonly string[];
  /** Every doubt that a start can go on with. */
  readonly warnings: readonly string[];
};

export type LoadInput = {
  readonly env: Environment;
  /** Values given on the command line, by the names of the environment; they win. */
  readonly flags?: Environment;
  readonly machine: Machine;
};

/** A set value counts up to this share of the file system. @source surfaces.md 8.2, KURA_CAS_CAPACITY_BYTES */
const capacityShareMax = 0.8;

/**
 * Finds the value of every setting, and everything that is wrong with them, in one pass: whoever mends a
 * configuration should see all of it at once. Blank values count as not set, and so does `auto`.
 */
export function loadConfig({ env, flags = {}, machine }: LoadInput): LoadedConfig {
  const problems: string[] = [];
  const warnings: string[] = [];
  const values = new Map<string, SettingValue>();
  const config: Partial<Record<Field, SettingValue>> = {};
  const sources: Partial<Record<Field, Source>> = {};
  const given = lookInto(values, machine);

  for (const [field, setting] of entries()) {
    const found = findValue({ setting, env, flags, given, problems });
    values.set(setting.name, found.value);
    config[field] = found.value;
    sources[field] = found.source;
  }
  const loaded = {
    config: limitCapacity(config as Config, machine, warnings),
    sources: sources as Record<Field, Source>,
  };
  checkEnvironment({ env: { ...env, ...flags }, problems, warnings });
  checkRelations({ ...loaded, machine, problems, warnings });
  return Object.freeze({ ...loaded, problems, warnings });
}

/** Field and row of the whole table, in its order. */
export function entries(): [Field, Setting<SettingValue>][] {
  return Object.entries(table) as unknown as [Field, Setting<SettingValue>][];
}

type Find = {
  setting: Setting<SettingValue>;
  env: Environment;
  flags: Environment;
  given: Given;
  problems: string[];
};

function findValue({ setting, env, flags, given, problems }: Find): {
  value: SettingValue;
  source: Source;
} {
  const { name, kind, fallback } = setting;
  for (const [source, from] of [
    ["flag", flags],
    ["environment", env],
  ] as const) {
    const text = from[name]?.trim() ?? "";
    if (text === "" || text === "auto") continue;
    const value = kind.parse(text);
    if (value !== null) return { value, source };
    const shown = kind.unit === "secret" ? "the given secret" : JSON.stringify(text);
    problems.push(`${name}: ${shown} is not allowed; it takes ${kind.range} (unit: ${kind.unit})`);
    break;
  }
  switch (fallback.at) {
    case "fixed":
      return { value: fallback.value, source: "default" };
    case "derived":
      return { value: fallback.derive(given), source: "derived" };
  }
}

function lookInto(values: ReadonlyMap<string, SettingValue>, machine: Machine): Given {
  return {
    machine,
    number(name) {
      const value = values.get(name);
      assert(
        typeof value === "number",
        `the row of ${name} holds a number and stands above its users`,
      );
      return value;
    },
    text(name) {
      const value = values.get(name);
      assert(
        typeof value === "string",
        `the row of ${name} holds a text and stands above its users`,
      );
      return value;
    },
  };
}

function limitCapacity(config: Config, machine: Machine, warnings: string[]): Config {
  const totalBytes = machine.fileSystemBytes(config.dataDir);
  const limitBytes = Math.floor((totalBytes * capacityShareMax) / MiB) * MiB;
  if (totalBytes === 0 || config.capacityBytes <= limitBytes) return Object.freeze(config);
  const wanted = showBytes(config.capacityBytes);
  const limit = showBytes(limitBytes);
  warnings.push(
    `KURA_CAS_CAPACITY_BYTES: ${wanted} is more than 80 % of the file system of ${config.dataDir}; ${limit} is used`,
  );
  return Object.freeze({ ...config, capacityBytes: limitBytes });
}
