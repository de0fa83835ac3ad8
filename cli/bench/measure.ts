import os from "node:os";
import type { Clock } from "../../runtime/base/clock.ts";
import { second } from "../../runtime/base/units.ts";
import { cpuUs, machineTicks, residentBytes, stealPercent } from "./proc.ts";

/** What the server's processes and the machine did during one load. */
export type Observed = {
  readonly server: ServerFigures | null;
  /** CPU time of this process while it loaded, in percent of one core. */
  readonly generatorCpuPercent: number;
  readonly stealPercent: number;
  /** Load average of the last minute, at the end. */
  readonly loadAverage: number;
};

export type ServerFigures = {
  /** From the first request until the server was quiet again. */
  readonly cpuUs: number;
  readonly rssBeforeBytes: number;
  /** The most that was seen, at one look every 100 ms. */
  readonly rssPeakBytes: number;
  readonly rssAfterBytes: number;
};

/** Work after the last answer (checkpoints, write-back of a log) belongs to the requests that caused it. */
const quietMsMin = 200;
const settleMsMax = 3 * second;
const settlePollMs = 20;
const rssPeriodMs = 100;

/** Waits until the processes have used no CPU for a while, at most 3 s: then `cpuUs` holds what they did afterwards. */
export async function settled(clock: Clock, pids: readonly number[]): Promise<void> {
  if (pids.length === 0) return;
  const startMs = clock.monotonicMs();
  let lastUs = cpuUs(pids);
  let lastChangeMs = startMs;
  for (;;) {
    // A timer of the clock keeps no process alive, and a command that waits here is not at its end.
    await Bun.sleep(settlePollMs);
    const nowMs = clock.monotonicMs();
    const nowUs = cpuUs(pids);
    if (nowUs !== lastUs) lastChangeMs = nowMs;
    lastUs = nowUs;
    if (nowMs - lastChangeMs >= quietMsMin || nowMs - startMs >= settleMsMax) return;
  }
}

/** Runs `load`, which resolves with its seconds, and watches machine and server meanwhile. */
export async function observe(
  options: { clock: Clock; pids: readonly number[] },
  load: () => Promise<number>,
): Promise<{ seconds: number; observed: Observed }> {
  const { clock, pids } = options;
  await settled(clock, pids);
  const before = { cpuUs: cpuUs(pids), rssBytes: residentBytes(pids), ticks: machineTicks() };
  let rssPeakBytes = before.rssBytes ?? 0;
  const look = (): void => {
    rssPeakBytes = Math.max(rssPeakBytes, residentBytes(pids) ?? 0);
  };
  const watch = clock.every(rssPeriodMs, look);
  const ownBefore = process.cpuUsage();
  let seconds: number;
  try {
    seconds = await load();
  } finally {
    watch.cancel();
  }
  const own = process.cpuUsage(ownBefore);
  const steal = stealPercent(before.ticks, machineTicks());
  look();
  await settled(clock, pids);
  const after = { cpuUs: cpuUs(pids), rssBytes: residentBytes(pids) };
  const isKnown = pids.length > 0 && before.cpuUs !== null && after.cpuUs !== null;
  const server = isKnown
    ? {
        cpuUs: (after.cpuUs ?? 0) - (before.cpuUs ?? 0),
        rssBeforeBytes: before.rssBytes ?? 0,
        rssPeakBytes,
        rssAfterBytes: after.rssBytes ?? 0,
      }
    : null;
  return {
    seconds,
    observed: {
      server,
      generatorCpuPercent: (own.user + own.system) / (seconds * 1e4),
      stealPercent: steal,
      loadAverage: os.loadavg()[0] ?? 0,
    },
  };
}
