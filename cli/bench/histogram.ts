/** Latencies are counted in steps of 100 ns: ten times finer than the fastest answer over loopback needs. */
const stepsPerMs = 10_000;
/** Up to here every step has a bucket of its own, above it every doubling has 128: the middle is within 0.4 %. */
const exactSteps = 256;
const bucketsPerDoubling = 128;
/** 2^32 - 1 steps are 429 s; no request lives that long. */
const stepsMax = 0xffff_ffff;
const bucketCount = exactSteps + (32 - 8) * bucketsPerDoubling;

/**
 * Counts latencies in buckets that grow with the value, so that a million of them cost 13 KiB.
 * A percentile is right to within 1 % from 10 us to 429 s; what is longer counts as 429 s.
 * @source the bucket layout of HdrHistogram.
 */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(bucketCount);
  #count = 0;
  #maxSteps = 0;

  get count(): number {
    return this.#count;
  }

  add(latencyMs: number): void {
    const steps = Math.min(stepsMax, Math.round(latencyMs * stepsPerMs));
    this.#counts[bucketOf(steps)]! += 1;
    this.#count += 1;
    if (steps > this.#maxSteps) this.#maxSteps = steps;
  }

  /** The latency that `share` (0 to 1) of all did not exceed, in milliseconds; null when nothing was counted. */
  percentileMs(share: number): number | null {
    if (this.#count === 0) return null;
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return Math.min(middleOf(bucket), this.#maxSteps) / stepsPerMs;
    }
    return this.#maxSteps / stepsPerMs;
  }

  /** Exact. */
  maxMs(): number {
    return this.#maxSteps / stepsPerMs;
  }
}

function bucketOf(steps: number): number {
  if (steps < exactSteps) return steps;
  const doubling = 31 - Math.clz32(steps);
  const place = steps >>> (doubling - 7);
  return exactSteps + (doubling - 8) * bucketsPerDoubling + (place - bucketsPerDoubling);
}

function middleOf(bucket: number): number {
  if (bucket < exactSteps) return bucket;
  const above = bucket - exactSteps;
  const doubling = 8 + Math.floor(above / bucketsPerDoubling);
  const widthSteps = 2 ** (doubling - 7);
  const place = bucketsPerDoubling + (above % bucketsPerDoubling);
  return place * widthSteps + (widthSteps - 1) / 2;
}
