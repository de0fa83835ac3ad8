import { expect, test } from "bun:test";
import { planDescriptors } from "../../../../runtime/server/descriptor-plan.ts";

const usual = { openNow: 20, poolSize: 256, handles: 64 };

test.each([1_024, 4_096, 20_000, 1_048_576])(
  "with a limit of %d everything together stays below it",
  (limit) => {
    const plan = planDescriptors({ ...usual, limit });
    expect([plan.requestFiles + plan.readHandles, plan.readHandles]).toEqual([256, 64]);
    expect(plan.connections + 256 + usual.openNow).toBeLessThan(limit);
    expect(plan.connections).toBeGreaterThan(limit / 2);
  },
);

test("with 128 there are fewer files, and room for connections beside them", () => {
  const plan = planDescriptors({ ...usual, poolSize: 64, handles: 16, limit: 128 });
  expect(plan).toEqual({ requestFiles: 24, readHandles: 8, connections: 36 });
});

test("however few there are, some files and some connections remain", () => {
  const plan = planDescriptors({ ...usual, limit: 32 });
  expect(plan.requestFiles).toBeGreaterThanOrEqual(4);
  expect(plan.readHandles).toBeGreaterThanOrEqual(1);
  expect(plan.connections).toBeGreaterThanOrEqual(8);
});

test("without a limit that anybody knows of, files go by their settings and connections have no end", () => {
  const plan = planDescriptors({ ...usual, limit: null });
  expect(plan).toEqual({
    requestFiles: 192,
    readHandles: 64,
    connections: Number.POSITIVE_INFINITY,
  });
});
