import { second } from "../base/units.ts";
import { producers } from "./identity.ts";
import type { ScrubCycle } from "./scrub-cycle.ts";
import type { EndedCycle } from "./scrub-hint.ts";
import type { DamagedPlace } from "./scrub-place.ts";
import type { Manifest } from "./store.ts";

/** As many damaged artifacts are named as this, the newest ones. */
const namedMax = 1_000;

/** Times are ISO 8601. Counts are those since the start of the process, except in `cycle` and `lastCycle`. */
export type ScrubReport = {
  /** `off`: the rate is 0. `waiting`: the last cycle began less than the shortest cycle time ago. */
  readonly state: "off" | "waiting" | "running";
  readonly bytesPerSecond: number;
  readonly cycleMsMin: number;
  readonly cycle: {
    readonly startedAt: string;
    readonly isFullSpeed: boolean;
    readonly doneBytes: number;
    readonly totalBytes: number;
    readonly damagedArtifacts: number;
  } | null;
  readonly lastCycle: {
    readonly startedAt: string;
    readonly endedAt: string;
    readonly seconds: number;
    readonly doneBytes: number;
    readonly damagedArtifacts: number;
  } | null;
  readonly cycles: number;
  readonly checkedBytes: number;
  readonly damagedArtifacts: number;
  /** Damaged places that no artifact needs, counted in each cycle that meets them. */
  readonly damagedElsewhere: number;
  /** Damaged copies of file headers, of which each file has two. */
  readonly damagedHeaders: number;
  readonly damages: readonly FoundDamage[];
};

/** One damaged artifact; names are null where they could not be read any more. */
export type FoundDamage = {
  readonly foundAt: string;
  readonly id: string;
  readonly producer: string | null;
  readonly tenant: string | null;
  readonly namespace: string | null;
  readonly key: string | null;
  readonly file: number;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
};

/** What the scrub did so far. */
export class ScrubFigures {
  cycles = 0;
  checkedBytes = 0;
  damagedElsewhere = 0;
  damagedHeaders = 0;
  last: EndedCycle | null = null;
  #damagedArtifacts = 0;
  readonly #damages: FoundDamage[] = [];

  addDamage(row: Manifest, { name }: DamagedPlace, foundMs: number): void {
    const { file, offsetBytes, sizeBytes } = row;
    this.#damagedArtifacts += 1;
    if (this.#damages.length === namedMax) this.#damages.shift();
    this.#damages.push({
      foundAt: iso(foundMs),
      id: Buffer.from(row.id).toString("hex"),
      producer: name === null ? null : producerName(name.producer),
      tenant: name?.tenant ?? null,
      namespace: name?.namespace ?? null,
      key: name?.key ?? null,
      file,
      offsetBytes,
      sizeBytes,
    });
  }

  report(
    cycle: ScrubCycle | null,
    { bytesPerSecond, cycleMsMin }: { bytesPerSecond: number; cycleMsMin: number },
  ): ScrubReport {
    const { cycles, checkedBytes, damagedElsewhere, damagedHeaders, last } = this;
    const idle = bytesPerSecond === 0 ? "off" : "waiting";
    return {
      state: cycle === null ? idle : "running",
      bytesPerSecond,
      cycleMsMin,
      cycle: cycle === null ? null : describeCycle(cycle),
      lastCycle: last === null ? null : describeLast(last),
      cycles,
      checkedBytes,
      damagedArtifacts: this.#damagedArtifacts,
      damagedElsewhere,
      damagedHeaders,
      damages: [...this.#damages],
    };
  }
}

function describeCycle(cycle: ScrubCycle): NonNullable<ScrubReport["cycle"]> {
  const { startedMs, isFullSpeed, doneBytes, totalBytes, damagedCount } = cycle;
  const damagedArtifacts = damagedCount;
  return { startedAt: iso(startedMs), isFullSpeed, doneBytes, totalBytes, damagedArtifacts };
}

function describeLast(last: EndedCycle): NonNullable<ScrubReport["lastCycle"]> {
  const { startedMs, endedMs, doneBytes, damagedCount: damagedArtifacts } = last;
  const seconds = Math.max(0, endedMs - startedMs) / second;
  return { startedAt: iso(startedMs), endedAt: iso(endedMs), seconds, doneBytes, damagedArtifacts };
}

function producerName(number: number): string {
  return Object.entries(producers).find(([, place]) => place === number)?.[0] ?? "unknown";
}

function iso(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
