import { expect, test } from "bun:test";
import { renderAge } from "../../../../cli/view/age.ts";
import { renderSpace } from "../../../../cli/view/space.ts";
import type { SpaceReport } from "../../../../runtime/catalog/space-report.ts";

const report: SpaceReport = {
  at: "2027-01-02T00:00:00.000Z",
  usedBytes: 10_000,
  capacityBytes: 50_000,
  freeBytes: 1_000_000,
  artifactCount: 3,
  artifactBytes: 3_000,
  cleanedCount: 0,
  cleanedBytes: 0,
  pointerReads: {
    hits: 3,
    misses: 3,
    hitPercent: 50,
    missReasons: { evicted: 2, never_written: 1 },
  },
  onceHerePercent: 66.7,
  holdings: [
    {
      tenant: "acme",
      namespace: "ios\u001b[2J",
      producer: "gradle",
      artifactCount: 2,
      bytes: 2_000,
      oldest: "2026-12-30T00:00:00.000Z",
      isWhole: true,
      pointerReads: { hits: 3, misses: 1, hitPercent: 75, missReasons: { evicted: 1 } },
    },
    {
      tenant: null,
      namespace: null,
      producer: "reapi",
      artifactCount: 1,
      bytes: 1_000,
      oldest: "2027-01-01T23:00:00.000Z",
      isWhole: false,
      pointerReads: null,
    },
  ],
  others: { artifactCount: 5, bytes: 600 },
  nextToGo: [
    {
      file: 2,
      kind: "segment",
      sizeBytes: 9_000,
      liveBytes: 2_000,
      newest: "2027-01-01T00:00:00.000Z",
    },
    { file: 9, kind: "large", sizeBytes: 7_000, liveBytes: null, newest: null },
  ],
};

test("a person sees figures, reads, holdings and what goes next", () => {
  const lines = renderSpace(report).split("\n");
  expect(lines[0]).toBe("usedBytes      10000");
  expect(lines).toContain(
    "reads of pointers since the start: 3 hits, 3 misses (2 evicted, 1 never_written): 50 % hits",
  );
  expect(lines).toContain("at this size 66.7 % of pointer misses were once here");
  expect(lines).toContain('"acme/ios\\u001b[2J"  gradle            2   2000  3 d        75      4');
  expect(lines).toContain("(name not found)     reapi          >= 1   1000  1 h         -      0");
  expect(lines).toContain("and 5 more artifacts with 600 bytes");
  expect(lines).toContain("   2  segment       9000       2000  1 d");
  expect(lines).toContain("   9  large         7000          -  -");
  expect(renderSpace(report)).not.toContain("\u001b");
});

test("without a node nobody has counted reads", () => {
  const text = renderSpace({ ...report, pointerReads: null, onceHerePercent: null });
  expect(text).toContain("no node runs here: nobody has counted reads");
  expect(text).not.toContain("once here");
});

test("an age is told in its largest unit", () => {
  const ages = [0, 59_999, 60_000, 3_600_000 * 5, 86_400_000 * 45, -5].map(renderAge);
  expect(ages).toEqual(["0 s", "59 s", "1 min", "5 h", "45 d", "0 s"]);
});
