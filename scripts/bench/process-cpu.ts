import fs from "node:fs";
import { systemClock } from "../../runtime/base/clock.ts";
import { second } from "../../runtime/base/units.ts";

/** Linux reports CPU time in ticks of 10 ms on every machine of today (USER_HZ is 100). */
const usPerTick = 10_000;
/** Work after the last answer (checkpoints, write-back of a log) belongs to the requests that caused it. */
const quietMsMin = 200;
const settleMsMax = 3 * second;
const pollMs = 20;

/** CPU time that these processes have used since they began, all threads, in microseconds. */
export function cpuUs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuTicks(pid), 0) * usPerTick;
}

/** Waits until the processes have used no CPU for a while, at most 3 s: then `cpuUs` holds what they did afterwards. */
export async function settled(pids: readonly number[]): Promise<void> {
  const startMs = systemClock.monotonicMs();
  let lastUs = cpuUs(pids);
  let lastChangeMs = startMs;
  for (;;) {
    await Bun.sleep(pollMs);
    const nowMs = systemClock.monotonicMs();
    const nowUs = cpuUs(pids);
    if (nowUs !== lastUs) lastChangeMs = nowMs;
    lastUs = nowUs;
    if (nowMs - lastChangeMs >= quietMsMin || nowMs - startMs >= settleMsMax) return;
  }
}

/** @source proc_pid_stat(5): fields 14 (utime) and 15 (stime); the name in field 2 may hold spaces and brackets. */
function cpuTicks(pid: number): number {
  const text = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
