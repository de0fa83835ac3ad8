import { describe, expect, test } from "bun:test";
import { MiB } from "../../../../runtime/base/units.ts";
import {
  classBytes,
  type LedgerClass,
  ledgerClasses,
  planRequests,
} from "../../../../runtime/config/request-memory.ts";

const names = Object.keys(ledgerClasses) as LedgerClass[];

describe.each([MiB, 16 * MiB, 77 * MiB, 512 * MiB, 4_096 * MiB])("of %d bytes", (totalBytes) => {
  const plan = planRequests(totalBytes);

  test("all parts together are what there is, and none is empty", () => {
    const { ledgerBytes, messageBytes, answerBytes, socketBytes } = plan;
    expect(ledgerBytes + messageBytes + answerBytes + 2 * socketBytes).toBe(totalBytes);
    for (const bytes of Object.values(plan)) expect(bytes).toBeGreaterThan(0);
  });

  test("the minimums of all classes fit, and no class can hold everything", () => {
    const classes = names.map((name) => classBytes(name, plan.ledgerBytes));
    const minBytes = classes.reduce((sum, each) => sum + each.minBytes, 0);
    expect(minBytes).toBeLessThan(plan.ledgerBytes);
    for (const each of classes) {
      expect(each.minBytes).toBeGreaterThan(0);
      expect(each.maxBytes).toBeGreaterThanOrEqual(each.minBytes);
      expect(each.maxBytes).toBeLessThanOrEqual(plan.ledgerBytes - minBytes + each.minBytes);
    }
  });
});
