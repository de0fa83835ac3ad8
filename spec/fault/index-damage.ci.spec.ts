import { describe, expect, test } from "bun:test";
import { second } from "../../runtime/base/units.ts";
import { indexDamages, nodeEndings, runIndexDamage } from "../support/index-damage.ts";

const testMsMax = 60 * second;

for (const ending of nodeEndings) {
  describe(`a node that was ${ending} and whose index`, () => {
    for (const damage of indexDamages) {
      const promise = damage.mayHideRows
        ? "starts without a wrong byte, and once rebuilt has every acknowledged artifact"
        : "starts and has every acknowledged artifact";
      test(
        `${damage.name} ${promise}`,
        async () => {
          const report = await runIndexDamage(damage, ending);
          console.log(`index-damage: ${ending}, ${damage.name}: ${JSON.stringify(report)}`);
          expect(report.keysRead).toBeGreaterThan(0);
        },
        testMsMax,
      );
    }
  });
}
