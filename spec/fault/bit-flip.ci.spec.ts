import { describe, expect, test } from "bun:test";
import { minute } from "../../runtime/base/units.ts";
import { runBitFlips } from "../support/bit-flip-run.ts";
import { runTails } from "../support/tails.ts";

const damages = 1_000;
const tails = 30;
const testMsMax = 3 * minute;

describe("data files that were changed while the node was stopped", () => {
  test(
    "give a miss where they were damaged, never other bytes, and leave the neighbours alone",
    async () => {
      const report = await runBitFlips(damages);
      console.log(`bit-flip: ${JSON.stringify(report)}`);
      expect(report.damages).toBe(damages);
      expect(report.missed).toBeGreaterThan(0);
    },
    testMsMax,
  );

  test(
    "are never shortened, whatever lies behind the last record",
    async () => {
      const report = await runTails(tails);
      console.log(`tails: ${JSON.stringify(report)}`);
      expect(report.starts).toBe(tails);
    },
    testMsMax,
  );
});
