import { expect, test } from "bun:test";
import { type MemoryTier, nextTier } from "../../../../runtime/observe/memory-tier.ts";

const marks = { softBytes: 1_000, hardBytes: 2_000 };

/** The tiers that follow from what is in use, one after the other. */
function walk(...used: number[]): MemoryTier[] {
  let tier: MemoryTier = "normal";
  return used.map((bytes) => {
    tier = nextTier(tier, bytes, marks);
    return tier;
  });
}

test("a tier begins at its mark and is left only below 90 % of it", () => {
  expect(walk(999, 1_000, 900, 899)).toEqual(["normal", "constrained", "constrained", "normal"]);
  expect(walk(1_999, 2_000, 1_800, 1_799, 900, 899)).toEqual([
    "constrained",
    "critical",
    "critical",
    "constrained",
    "constrained",
    "normal",
  ]);
});

test("a tier is skipped when memory rises or falls far enough between two looks", () => {
  expect(walk(5_000, 100, 2_000, 899)).toEqual(["critical", "normal", "critical", "normal"]);
});

test("marks that lie close together leave no gap and no way to be in two tiers", () => {
  const close = { softBytes: 1_000, hardBytes: 1_001 };
  const tiers: MemoryTier[] = ["normal", "constrained", "critical"];
  expect(tiers.map((tier) => nextTier(tier, 950, close))).toEqual([
    "normal",
    "constrained",
    "critical",
  ]);
  expect(tiers.map((tier) => nextTier(tier, 899, close))).toEqual(["normal", "normal", "normal"]);
});
