// heavy
import { expect, test } from "bun:test";
import { MiB, minute, second } from "../../runtime/base/units.ts";
import { describeGrowth, runSlowTransfers } from "../support/slow-transfers.ts";

const transfers = { downloads: 1_000, uploads: 500, uploadMs: 45 * second };
/** @source design.md 10. */
const growthBytesMax = 64 * MiB;

test(
  "1,000 slow downloads, 500 slow uploads and both at one time cost 64 MiB of memory at most",
  async () => {
    const growth = await runSlowTransfers(transfers);
    console.log(describeGrowth(transfers, growth));
    expect(growth.downloads).toBeLessThanOrEqual(growthBytesMax);
    expect(growth.uploads).toBeLessThanOrEqual(growthBytesMax);
    expect(growth.both).toBeLessThanOrEqual(growthBytesMax);
    expect(growth.after).toBeLessThanOrEqual(growthBytesMax / 2);
  },
  20 * minute,
);
