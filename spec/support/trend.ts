/** How values of equal windows of time moved. */
export type Trend = {
  /** Pairs of windows of which the later one is higher, less those of which it is lower; six windows have 15 pairs. */
  readonly score: number;
  /** Middle of the last third less middle of the first third. */
  readonly rise: number;
  readonly isRising: boolean;
};

/**
 * Whether values rise: nearly all later windows are above the earlier ones (Mann-Kendall), and by so much that it is
 * worth a word. Six values without a trend reach a score of 11 in one of 120 runs, and noise seldom has the rise too.
 * @source Kendall, Rank Correlation Methods: exact distribution of S for n = 6.
 */
export function trendOf(values: readonly number[], riseMin: number): Trend {
  let score = 0;
  for (let later = 1; later < values.length; later++) {
    for (let earlier = 0; earlier < later; earlier++) {
      score += Math.sign(values[later]! - values[earlier]!);
    }
  }
  const third = Math.max(1, Math.floor(values.length / 3));
  const rise = median(values.slice(-third)) - median(values.slice(0, third));
  const pairs = (values.length * (values.length - 1)) / 2;
  return { score, rise, isRising: score >= 0.7 * pairs && rise > riseMin };
}

/** The middle; of an even count, the mean of the two in the middle. 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  if (sorted.length % 2 === 1) return sorted[half]!;
  return ((sorted[half - 1] ?? 0) + (sorted[half] ?? 0)) / 2;
}

/** The medians of so many windows of equal length between two times. */
export function windowsOf<Sample extends { readonly atMs: number }>(
  samples: readonly Sample[],
  span: { readonly fromMs: number; readonly toMs: number; readonly count: number },
  of: (sample: Sample) => number,
): number[] {
  const lengthMs = (span.toMs - span.fromMs) / span.count;
  return Array.from({ length: span.count }, (_, i) => {
    const fromMs = span.fromMs + i * lengthMs;
    const inside = samples.filter(({ atMs }) => atMs >= fromMs && atMs < fromMs + lengthMs);
    return median(inside.map(of));
  });
}
