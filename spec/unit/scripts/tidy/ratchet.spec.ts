import { expect, test } from "bun:test";
import { compare, measure, tighten } from "../../../../scripts/tidy/ratchet.ts";
import { parseSource } from "../../../../scripts/tidy/source.ts";

const figures = measure(
  [
    parseSource("runtime/store/a.ts", "// why\nfunction f() {\n  return a!;\n}\n"),
    parseSource("runtime/base/b.ts", "1;\n"),
    parseSource("spec/unit/c.spec.ts", "1;\n".repeat(900)),
  ],
  { dependencies: { one: "1" }, devDependencies: { two: "2" } },
);

test("the figures are those of our own code; specs have no size", () => {
  expect(figures).toEqual({
    fileLinesMedian: 4,
    fileLinesMax: 4,
    functionLinesMax: 3,
    storeCommentPercent: 25,
    anyCount: 0,
    unfinishedCount: 0,
    assertionCount: 1,
    dependencyCount: 2,
  });
});

test("a worse figure is refused in its own direction, an equal or better one is not", () => {
  expect(compare(figures, figures)).toEqual([]);
  expect(compare(figures, { ...figures, fileLinesMax: 3 }).join()).toContain("fileLinesMax is 4");
  expect(compare(figures, { ...figures, storeCommentPercent: 26 })).toHaveLength(1);
  expect(compare(figures, { ...figures, fileLinesMax: 5, storeCommentPercent: 20 })).toEqual([]);
});

test("stored figures move only to better ones", () => {
  const stored = { ...figures, fileLinesMax: 9, dependencyCount: 1 };
  expect(tighten(figures, stored)).toEqual({ ...figures, dependencyCount: 1 });
});
