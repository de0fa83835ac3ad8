import { second } from "../../base/units.ts";
import type { Metrics } from "../../observe/metrics.ts";
import type { ScrubReport } from "../../store/scrub-figures.ts";
import type { Store } from "../../store/store.ts";

/** Figures of the scrub. `store` throws while there is none: then the lines are absent. */
export function addScrubFigures(metrics: Metrics, store: () => Store): void {
  const figure = (read: (report: ScrubReport) => number | null) => (): number | null => {
    try {
      return read(store().scrub.report());
    } catch {
      return null;
    }
  };
  const gauges: [string, string, (report: ScrubReport) => number | null][] = [
    [
      "kura_scrub_cycle_seconds",
      "Duration of the last whole cycle of the scrub.",
      ({ lastCycle }) => lastCycle?.seconds ?? null,
    ],
    [
      "kura_scrub_position_ratio",
      "Share of the stored bytes that the cycle under way has read.",
      ({ cycle }) => (cycle === null ? null : positionOf(cycle)),
    ],
    [
      "kura_scrub_cycle_started_timestamp_seconds",
      "Start of the cycle under way, or of the last one.",
      ({ cycle, lastCycle }) => timestamp(cycle?.startedAt ?? lastCycle?.startedAt),
    ],
    [
      "kura_scrub_cycle_ended_timestamp_seconds",
      "End of the last whole cycle.",
      ({ lastCycle }) => timestamp(lastCycle?.endedAt),
    ],
    [
      "kura_scrub_rate_bytes_per_second",
      "KURA_SCRUB_BYTES_PER_SECOND.",
      ({ bytesPerSecond }) => bytesPerSecond,
    ],
  ];
  const counters: [string, string, (report: ScrubReport) => number][] = [
    ["kura_scrub_bytes_total", "Bytes checked by the scrub.", ({ checkedBytes }) => checkedBytes],
    ["kura_scrub_cycles_total", "Whole cycles of the scrub.", ({ cycles }) => cycles],
    [
      "kura_scrub_damaged_total",
      "Artifacts that the scrub found damaged.",
      ({ damagedArtifacts }) => damagedArtifacts,
    ],
    [
      "kura_scrub_damaged_elsewhere_total",
      "Damaged places outside of artifacts and damaged file headers, in each cycle.",
      ({ damagedElsewhere, damagedHeaders }) => damagedElsewhere + damagedHeaders,
    ],
  ];
  for (const [name, help, read] of gauges) metrics.gauge(name, help, figure(read));
  for (const [name, help, read] of counters) metrics.counter(name, help, figure(read));
}

function positionOf({ doneBytes, totalBytes }: NonNullable<ScrubReport["cycle"]>): number {
  return totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
}

function timestamp(iso: string | undefined): number | null {
  return iso === undefined ? null : Date.parse(iso) / second;
}
