import type { Clock } from "../base/clock.ts";
import { second } from "../base/units.ts";

const tickMs = 200;
/** The worst is remembered for one to two of these, so that no scrape of a minute misses it. */
const windowMs = 60 * second;
/** What is worth a line in the log: clients have felt it. */
const longLagMs = 1 * second;

/**
 * How long the loop was kept from turning. While it does not turn nobody is told anything, `/up` included, which is
 * what makes an orchestrator act; afterwards this tells what it was.
 * @returns the worst of the last one to two minutes, in ms.
 */
export function watchLoop(clock: Clock, onLongLag: (lagMs: number) => void): () => number {
  let lastMs = clock.monotonicMs();
  let windowEndMs = lastMs + windowMs;
  let worstBeforeMs = 0;
  let worstMs = 0;
  clock.every(tickMs, () => {
    const nowMs = clock.monotonicMs();
    const lagMs = Math.max(0, nowMs - lastMs - tickMs);
    lastMs = nowMs;
    if (nowMs >= windowEndMs) {
      worstBeforeMs = worstMs;
      worstMs = 0;
      windowEndMs = nowMs + windowMs;
    }
    worstMs = Math.max(worstMs, lagMs);
    if (lagMs >= longLagMs) onLongLag(lagMs);
  });
  return () => Math.max(worstMs, worstBeforeMs);
}
