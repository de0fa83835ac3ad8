import { Fault } from "../base/fault.ts";
import {
  type MissReason,
  missReasons,
  type ReadCounts,
  type ReadScope,
  type ScopeReads,
} from "../observe/pointer-reads.ts";
import type { Census } from "../store/census.ts";
import { producers } from "../store/identity.ts";
import type { ScopeName } from "../store/scope-names.ts";
import type { NextToGo } from "../store/space-figures.ts";
import { wallMsOfVersion } from "../store/version.ts";
import { artifactKinds } from "./kinds.ts";
import { quoteText } from "./text.ts";

/** Who fills a store, how well that serves them, and what will have to go. Moments are ISO 8601. */
export type SpaceReport = {
  readonly at: string;
  readonly usedBytes: number;
  /** Null without a running node: the files do not say how many there may be. */
  readonly capacityBytes: number | null;
  readonly freeBytes: number;
  readonly artifactCount: number;
  /** What the artifacts take on disk; the rest of `usedBytes` goes with the files that it lies in. */
  readonly artifactBytes: number;
  /** Of namespaces that were cleaned: unreadable, and removed with the files that they lie in. */
  readonly cleanedCount: number;
  readonly cleanedBytes: number;
  /** Downloads of pointers since the node started; null without a running node. */
  readonly pointerReads: ReadFacts | null;
  /** Of the misses, those of what this store had and let go because it was full; null without misses. */
  readonly onceHerePercent: number | null;
  readonly holdings: readonly HoldingFacts[];
  /** What the list of holdings leaves out. */
  readonly others: { readonly artifactCount: number; readonly bytes: number };
  readonly nextToGo: readonly UnitFacts[];
};

/** `hitPercent`: null without reads. */
export type ReadFacts = {
  readonly hits: number;
  readonly misses: number;
  readonly hitPercent: number | null;
  /** Reasons that were met. */
  readonly missReasons: Readonly<Partial<Record<MissReason, number>>>;
};

/** One producer's artifacts in one namespace. */
export type HoldingFacts = {
  /** Null when no file says it any more. */
  readonly tenant: string | null;
  readonly namespace: string | null;
  readonly producer: string;
  readonly artifactCount: number;
  readonly bytes: number;
  /** When the oldest artifact was written; null when there is none. */
  readonly oldest: string | null;
  /** False when a part of it may be among the others. */
  readonly isWhole: boolean;
  readonly pointerReads: ReadFacts | null;
};

/** A file that goes as a whole when room is needed. */
export type UnitFacts = {
  readonly file: number;
  readonly kind: "segment" | "large";
  readonly sizeBytes: number;
  /** What of it can still be read, as far as a census tells: null for a large file. */
  readonly liveBytes: number | null;
  /** When the newest of that was written; null when there is none, and for a large file. */
  readonly newest: string | null;
};

type UnitToGo = Pick<NextToGo, "file" | "isLarge" | "sizeBytes">;

export type SpaceSources = {
  readonly wallMs: number;
  readonly usage: Pick<SpaceReport, "usedBytes" | "capacityBytes" | "freeBytes">;
  readonly census: Census;
  /** Holdings that are listed. */
  readonly limit: number;
  /** Of the first `limit` holdings. */
  readonly names: readonly (ScopeName | null)[];
  /** Null without a running node. */
  readonly reads: { readonly total: ReadCounts; readonly entries: readonly ScopeReads[] } | null;
  readonly nextToGo: readonly UnitToGo[];
};

/** Files of `nextToGo`. */
export const unitsListed = 10;
/** A name is one read of a file, and a line of the report 200 bytes. */
const holdingsListedMax = 1_000;
const holdingsListedUsually = 100;

const producerNames = new Map<number, string>(
  Object.entries(producers).map(([name, number]) => [number, name]),
);

/** How many holdings somebody wants to see, 1 to 1,000; 100 unless told. @throws Fault "badRequest". */
export function parseHoldingsLimit(text: string | undefined): number {
  if (text === undefined) return holdingsListedUsually;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= holdingsListedMax) return limit;
  throw new Fault(
    "badRequest",
    `Cannot list ${quoteText(text)} holdings: give a number from 1 to ${holdingsListedMax}`,
  );
}

export function describeSpace(sources: SpaceSources): SpaceReport {
  const { wallMs, usage, census, reads, nextToGo } = sources;
  const listed = listHoldings(sources);
  const listedCount = listed.reduce((sum, { artifactCount }) => sum + artifactCount, 0);
  const listedBytes = listed.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    at: new Date(wallMs).toISOString(),
    ...usage,
    artifactCount: census.total.artifactCount,
    artifactBytes: census.total.bytes,
    cleanedCount: census.cleaned.artifactCount,
    cleanedBytes: census.cleaned.bytes,
    pointerReads: reads === null ? null : describeReads(reads.total),
    onceHerePercent: reads === null ? null : onceHere(reads.total),
    holdings: listed,
    others: {
      artifactCount: census.total.artifactCount - listedCount,
      bytes: census.total.bytes - listedBytes,
    },
    nextToGo: nextToGo.map((unit) => describeUnit(unit, census)),
  };
}

/** The largest holdings; and scopes that were read in and hold nothing, since those are who a full store let down. */
function listHoldings({ census, limit, names, reads }: SpaceSources): HoldingFacts[] {
  const unmatched = new ReadsByHolding(reads?.entries ?? []);
  const listed: HoldingFacts[] = [];
  const { holdings } = census;
  const { buffer, byteOffset, byteLength } = holdings.scopeHashes;
  const scopeKeys = Buffer.from(buffer, byteOffset, byteLength);
  for (let i = 0; i < holdings.count; i++) {
    const producer = producerNames.get(holdings.producers[i]!) ?? "unknown";
    const own = unmatched.take(scopeKeys.latin1Slice(16 * i, 16 * i + 16), producer);
    if (i >= limit) continue;
    const name: ScopeName | ReadScope | null = names[i] ?? own?.scope ?? null;
    listed.push({
      tenant: name?.tenant ?? null,
      namespace: name?.namespace ?? null,
      producer,
      artifactCount: holdings.artifactCounts[i]!,
      bytes: holdings.bytes[i]!,
      oldest: momentOf(holdings.oldestVersions[i]!),
      isWhole: holdings.arePartial[i] === 0,
      pointerReads: own === null ? null : describeReads(own),
    });
  }
  // With holdings that are not told apart nobody knows whether these hold anything.
  if (census.others.artifactCount > 0) return listed;
  const empty = unmatched.left().map(emptyHolding).sort(byReads);
  return [...listed, ...empty.slice(0, limit)];
}

/** Reads until the holding is met that they belong to. */
class ReadsByHolding {
  readonly #byScope = new Map<string, ScopeReads[]>();

  constructor(entries: readonly ScopeReads[]) {
    for (const entry of entries) {
      const { hashKey } = entry.scope;
      this.#byScope.set(hashKey, [...(this.#byScope.get(hashKey) ?? []), entry]);
    }
  }

  take(hashKey: string, producer: string): ScopeReads | null {
    const entries = this.#byScope.get(hashKey) ?? [];
    const place = entries.findIndex((entry) => producerOf(entry) === producer);
    return place < 0 ? null : (entries.splice(place, 1)[0] ?? null);
  }

  left(): ScopeReads[] {
    return [...this.#byScope.values()].flat();
  }
}

function emptyHolding(entry: ScopeReads): HoldingFacts {
  const { tenant, namespace } = entry.scope;
  return {
    tenant,
    namespace,
    producer: producerOf(entry),
    artifactCount: 0,
    bytes: 0,
    oldest: null,
    isWhole: true,
    pointerReads: describeReads(entry),
  };
}

function byReads({ pointerReads: left }: HoldingFacts, { pointerReads: right }: HoldingFacts) {
  const readsOf = (reads: ReadFacts | null): number => (reads?.hits ?? 0) + (reads?.misses ?? 0);
  return readsOf(right) - readsOf(left);
}

function producerOf({ artifact }: ScopeReads): string {
  return artifactKinds[artifact]?.producer ?? "unknown";
}

function describeReads({ hits, misses: byReason }: ReadCounts): ReadFacts {
  const met = missReasons.filter((reason) => byReason[reason] > 0);
  const misses = met.reduce((sum, reason) => sum + byReason[reason], 0);
  return {
    hits,
    misses,
    hitPercent: percent(hits, hits + misses),
    missReasons: Object.fromEntries(met.map((reason) => [reason, byReason[reason]])),
  };
}

function onceHere({ misses }: ReadCounts): number | null {
  return percent(
    misses.evicted,
    missReasons.reduce((sum, reason) => sum + misses[reason], 0),
  );
}

/** With one digit behind the point. */
function percent(part: number, whole: number): number | null {
  return whole === 0 ? null : Math.round((1_000 * part) / whole) / 10;
}

function describeUnit(unit: UnitToGo, { segments }: Census): UnitFacts {
  const { file, isLarge, sizeBytes } = unit;
  if (isLarge) return { file, kind: "large", sizeBytes, liveBytes: null, newest: null };
  const place = segments.files.indexOf(file);
  const [liveBytes, newest] =
    place < 0 ? [0, null] : [segments.liveBytes[place]!, momentOf(segments.newestVersions[place]!)];
  return { file, kind: "segment", sizeBytes, liveBytes, newest };
}

function momentOf(version: number): string {
  return new Date(wallMsOfVersion(version)).toISOString();
}
