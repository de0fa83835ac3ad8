import type {
  HoldingFacts,
  ReadFacts,
  SpaceReport,
  UnitFacts,
} from "../../runtime/catalog/space-report.ts";
import { quoteText } from "../../runtime/catalog/text.ts";
import { renderAge } from "./age.ts";
import { type Facts, renderFacts, renderTable } from "./text.ts";

/** The report for a person: figures, who fills the store, what will have to go. */
export function renderSpace(report: SpaceReport): string {
  const { holdings, others, nextToGo } = report;
  const lines = [renderFacts(figuresOf(report)), "", ...readLines(report)];
  lines.push(renderTable(holdings.map((holding) => holdingRow(holding, report.at))));
  if (others.artifactCount > 0) {
    lines.push(`and ${others.artifactCount} more artifacts with ${others.bytes} bytes`);
  }
  lines.push("", "next to go, the first one first");
  lines.push(renderTable(nextToGo.map((unit) => unitRow(unit, report.at))));
  return lines.join("\n");
}

function figuresOf(report: SpaceReport): Facts {
  const { usedBytes, capacityBytes, freeBytes, artifactCount, artifactBytes } = report;
  const { cleanedCount, cleanedBytes } = report;
  return {
    usedBytes,
    capacityBytes,
    freeBytes,
    artifactCount,
    artifactBytes,
    cleanedCount,
    cleanedBytes,
  };
}

function readLines({ pointerReads, onceHerePercent }: SpaceReport): string[] {
  if (pointerReads === null) return ["no node runs here: nobody has counted reads", ""];
  const { hits, misses, hitPercent } = pointerReads;
  const reasons = Object.entries(pointerReads.missReasons).map(([why, count]) => `${count} ${why}`);
  const why = reasons.length === 0 ? "" : ` (${reasons.join(", ")})`;
  const rate = hitPercent === null ? "" : `: ${hitPercent} % hits`;
  const lines = [`reads of pointers since the start: ${hits} hits, ${misses} misses${why}${rate}`];
  if (onceHerePercent !== null) {
    lines.push(`at this size ${onceHerePercent} % of pointer misses were once here`);
  }
  return [...lines, ""];
}

function holdingRow(holding: HoldingFacts, at: string): Facts {
  const { producer, artifactCount, bytes, oldest, isWhole, pointerReads } = holding;
  return {
    namespace: placeOf(holding),
    producer,
    artifacts: isWhole ? artifactCount : `>= ${artifactCount}`,
    bytes,
    oldest: oldest === null ? "-" : ageOf(oldest, at),
    "hit %": pointerReads?.hitPercent ?? "-",
    reads: readsOf(pointerReads),
  };
}

function readsOf(reads: ReadFacts | null): number {
  return reads === null ? 0 : reads.hits + reads.misses;
}

function unitRow({ file, kind, sizeBytes, liveBytes, newest }: UnitFacts, at: string): Facts {
  return { file, kind, sizeBytes, liveBytes, newest: newest === null ? "-" : ageOf(newest, at) };
}

/** Clients choose namespaces: whatever a terminal would obey is shown as an escape. */
function placeOf({ tenant, namespace }: HoldingFacts): string {
  if (tenant === null || namespace === null) return "(name not found)";
  const place = `${tenant}/${namespace}`;
  return /^[\x20-\x7e]*$/.test(place) ? place : quoteText(place);
}

function ageOf(moment: string, at: string): string {
  return renderAge(Date.parse(at) - Date.parse(moment));
}
