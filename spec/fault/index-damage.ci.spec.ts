import { describe, expect, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { indexDamages, runIndexDamage } from "../support/index-damage.ts";

const testMsMax = 60 * second;

describe("a node whose index", () => {
  for (const damage of indexDamages) {
    test(
      `${damage.name} starts and has every acknowledged artifact`,
      async () => {
        const report = await runIndexDamage(damage);
        expect(report.keysRead).toBeGreaterThan(0);
      },
      testMsMax,
    );
  }
});
