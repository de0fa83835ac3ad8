import { MiB } from "../base/units.ts";
import type { Source } from "./setting.ts";
import type { Config, Field } from "./table.ts";

/** What the caches take of rules that only look at the size of the machine. */
const derivedBytesMax = {
  manifestCacheBytesMax: 8 * MiB,
  bodyCacheBytesMax: 4 * MiB,
  indexReadCacheBytes: 6 * MiB,
} as const;

export const cacheFields = Object.keys(derivedBytesMax) as (keyof typeof derivedBytesMax)[];

type Given = { readonly config: Config; readonly sources: Readonly<Record<Field, Source>> };

/**
 * The seed's rules give up to 128 MiB to the index and 64 each to manifests and bodies. A machine that runs builds has
 * better use for them: a cache fills whatever it is given, and the collector lets as much garbage gather as there is
 * live memory (docs/decisions.md has the figures). So only somebody who asks for more gets more.
 */
export function cacheBytes(
  { config, sources }: Given,
  field: keyof typeof derivedBytesMax,
): number {
  const isDerived = sources[field] === "derived";
  return isDerived ? Math.min(config[field], derivedBytesMax[field]) : config[field];
}
