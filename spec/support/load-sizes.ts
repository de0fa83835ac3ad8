import type { Random } from "../../runtime/base/random.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";

/** A body above 64 KiB: each of the ways in which the store keeps and sends one gets a few of them a cycle. */
export type PlannedBody = { readonly sizeBytes: number; readonly isChunked: boolean };

/** A key-value document of this content, in base64, is under the limit of 1 MiB on the raw body. */
export const keyValueBytesMax = 700 * KiB;

type SizeClass = { minBytes: number; maxBytes: number; isChunked: boolean; count: number };
const classes: readonly SizeClass[] = [
  { minBytes: 64 * KiB, maxBytes: 256 * KiB, isChunked: false, count: 4 },
  { minBytes: 64 * KiB, maxBytes: 256 * KiB, isChunked: true, count: 2 },
  { minBytes: 256 * KiB, maxBytes: MiB, isChunked: false, count: 2 },
  { minBytes: 256 * KiB, maxBytes: MiB, isChunked: true, count: 1 },
  { minBytes: MiB + 1, maxBytes: 8 * MiB, isChunked: false, count: 2 },
  { minBytes: MiB + 1, maxBytes: 8 * MiB, isChunked: true, count: 1 },
];

/** The bodies above 64 KiB of one cycle: on average about 8 MiB. */
export function planBodies(random: Random): PlannedBody[] {
  const planned: PlannedBody[] = [];
  for (const { minBytes, maxBytes, isChunked, count } of classes) {
    for (let i = 0; i < count; i++) {
      planned.push({ sizeBytes: drawSkewed(random, minBytes, maxBytes), isChunked });
    }
  }
  return planned;
}

/** 1 B to 64 KiB; three of four at most 4 KiB, as in real caches. */
export function drawSmallBytes(random: Random): number {
  return drawSkewed(random, 1, random.below(4) > 0 ? 4 * KiB : 64 * KiB);
}

/** Every doubling between the bounds is equally likely; both bounds can come. */
export function drawSkewed(random: Random, minBytes: number, maxBytes: number): number {
  const steps = 1_000;
  const exponent = random.below(steps + 1) / steps;
  return Math.round(minBytes * (maxBytes / minBytes) ** exponent);
}
