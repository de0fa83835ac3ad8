import { expect, test } from "bun:test";
import { seededRandom } from "../../runtime/base/random.ts";
import { MiB } from "../../runtime/base/units.ts";
import { trendOf, windowsOf } from "../support/trend.ts";

const riseMin = 16 * MiB;
const samplesPerWindow = 40;
const windows = 6;

/** Memory as it looks: a level, a saw of a garbage collector, and a leak of so much a window. */
function memory(seed: number, leakBytes: number): number[] {
  const random = seededRandom(seed);
  const samples = Array.from({ length: windows * samplesPerWindow }, (_, atMs) => {
    const saw = random.below(40 * MiB);
    return { atMs, bytes: 120 * MiB + saw + (atMs * leakBytes) / samplesPerWindow };
  });
  const span = { fromMs: 0, toMs: samples.length, count: windows };
  return windowsOf(samples, span, ({ bytes }) => bytes);
}

test("a leak of 8 MiB a window is a trend, whatever the garbage collector adds", () => {
  for (let seed = 0; seed < 200; seed++) {
    expect([seed, trendOf(memory(seed, 8 * MiB), riseMin).isRising]).toEqual([seed, true]);
  }
});

test("a level that only shakes is none", () => {
  for (let seed = 0; seed < 200; seed++) {
    expect([seed, trendOf(memory(seed, 0), riseMin).isRising]).toEqual([seed, false]);
  }
});
