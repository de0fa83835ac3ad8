import { entries, type LoadedConfig } from "./load.ts";
import type { Source } from "./setting.ts";

/** One setting as `kura inspect config` and the admin socket show it; secrets are placeholders. */
export type ConfigEntry = {
  readonly name: string;
  readonly value: string;
  readonly unit: string;
  readonly source: Source;
  /** How a derived value is found; empty for a fixed default. */
  readonly formula: string;
  readonly range: string;
  readonly help: string;
  /** False for what this version knows but does not use. */
  readonly isUsed: boolean;
};

/** The whole table with its present values, in its order. */
export function describeConfig({ config, sources }: LoadedConfig): ConfigEntry[] {
  return entries().map(([field, { name, kind, fallback, help, since }]) => ({
    name,
    value: kind.show(config[field]),
    unit: kind.unit,
    source: sources[field],
    formula: fallback.at === "derived" ? fallback.formula : "",
    range: kind.range,
    help,
    isUsed: since === "now",
  }));
}
