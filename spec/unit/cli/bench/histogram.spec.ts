import { expect, test } from "bun:test";
import { LatencyHistogram } from "../../../../cli/bench/histogram.ts";
import { seededRandom } from "../../../../runtime/base/random.ts";

const seed = 20_261_122;

test("a percentile is within 1 % of the exact one, from 10 us to minutes", () => {
  console.log("seed", seed);
  const random = seededRandom(seed);
  for (const scaleMs of [0.01, 0.1, 1, 10, 1_000, 100_000]) {
    const histogram = new LatencyHistogram();
    const values = Array.from(
      { length: 5_000 },
      () => scaleMs * (1 + random.below(30_000) / 10_000),
    );
    for (const value of values) histogram.add(value);
    values.sort((a, b) => a - b);
    for (const share of [0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
      const exact = values[Math.ceil(share * values.length) - 1] ?? Number.NaN;
      const found = histogram.percentileMs(share) ?? Number.NaN;
      expect(Math.abs(found - exact) / exact).toBeLessThan(0.01);
    }
    expect(histogram.count).toBe(5_000);
    expect(Math.abs(histogram.maxMs() - Math.max(...values))).toBeLessThanOrEqual(0.000_05);
  }
});

test("every value of each doubling comes back within 0.4 % or 50 ns", () => {
  for (let valueMs = 0.0001; valueMs < 400_000; valueMs *= 1.003) {
    const histogram = new LatencyHistogram();
    histogram.add(valueMs);
    // A larger one, so that the exact maximum does not hide the bucket.
    histogram.add(valueMs * 2);
    const found = histogram.percentileMs(0.5) ?? Number.NaN;
    expect(Math.abs(found - valueMs)).toBeLessThanOrEqual(Math.max(0.004 * valueMs, 0.000_051));
  }
});

test("nothing counted has no percentile, and what is longer than can be counted is the longest", () => {
  const histogram = new LatencyHistogram();
  expect(histogram.percentileMs(0.5)).toBeNull();
  histogram.add(10_000_000);
  expect((histogram.percentileMs(0.5) ?? 0) / 429_496.7).toBeCloseTo(1, 2);
});
