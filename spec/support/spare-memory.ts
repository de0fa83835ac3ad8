import { GiB } from "../../runtime/base/units.ts";

const residentBytesMax = GiB;
/** What was collected goes back to the system a while later. */
const callsMin = 100;
let calls = 0;

/**
 * Simulated stores leave much memory behind. On a machine that has plenty the runtime collects so little of it that a
 * long run took 23 of 24 GiB (Bun 1.4.5), and made everything beside it wait for the disk.
 */
export function spareMemory(): void {
  calls += 1;
  if (calls < callsMin || process.memoryUsage.rss() < residentBytesMax) return;
  calls = 0;
  Bun.gc(true);
}
