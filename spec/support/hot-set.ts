import { type Random, seededRandom } from "../../runtime/base/random.ts";
import { KiB, second } from "../../runtime/base/units.ts";
import { NumberedBodies } from "./action-blobs.ts";
import { type Exchange, type LoadConnection, openLoadConnection } from "./load-client.ts";
import { readMetrics } from "./node-metrics.ts";
import { type NodeProcess, startNode } from "./node-process.ts";
import { shuffled, Zipf } from "./zipf.ts";

export type HotSetOptions = {
  readonly capacityBytes: number;
  readonly seed: number;
  readonly end: "stop" | "kill";
};

/** Shares of reads that were hits, 0 to 1. */
export type HitRates = { readonly small: number; readonly large: number };

export type HotSetReport = {
  readonly before: HitRates;
  /** After the restart and half of the capacity more, without a read meanwhile. */
  readonly after: HitRates;
  /** Before the restart, and since then. */
  readonly evictedBefore: number;
  readonly evictedAfter: number;
  readonly movedAfter: number;
};

type Artifact = { readonly number: number; readonly sizeBytes: number };

const smallBytes = 16 * KiB;
const largeBytes = 1_536 * KiB;
/**
 * Of the capacity, in the order in which it is written. The first part makes the node full and begins to go; the hot
 * one is then older than half of what is left. The last one comes after the restart, and by age alone all that is older
 * than half would go for it.
 */
const share = { first: 0.25, hot: 0.16, hotLarge: 0.06, second: 0.52, last: 0.55 };
/** Of a hundred reads so many ask for what nobody else asks for. */
const coldPercent = 2;
const skew = 0.9;
/** Reads that measure a rate: one point is 100 of them. */
const measuredReads = 10_000;
const measuredLargeReads = 200;
/** Of the reads of the hot set before the restart, one in so many asks for a large artifact. */
const largeEvery = 50;
/**
 * What was read is written down every 10 s and at the end: a kill may cost the reads since then, so that before one
 * the reads go on for longer.
 * @source design.md 2.
 */
const readsMin = 30_000;
const readMs = { stop: 6 * second, kill: 14 * second };
const lanes = 16;
/** A put may wait for room. */
const answerMsMax = 60 * second;

/**
 * Fills a node, reads what is old in it, ends the node, starts it and writes so much that half of the data must go.
 * @throws when an artifact is not what was written.
 */
export async function runHotSet(options: HotSetOptions): Promise<HotSetReport> {
  const { capacityBytes, end } = options;
  const env = { KURA_CAS_CAPACITY_BYTES: String(capacityBytes) };
  await using first = await startNode({ env });
  const load = new HotSetLoad(options.seed);
  const small = (part: number): Artifact[] => load.plan(part * capacityBytes, smallBytes);
  const cold = small(share.first);
  const hot = small(share.hot);
  const hotLarge = load.plan(share.hotLarge * capacityBytes, largeBytes);
  await load.write(first.port, cold);
  await load.write(first.port, [...hot, ...hotLarge]);
  const reads = new Reads(options.seed, { hot, hotLarge, cold });
  const startMs = performance.now();
  let drawn = 0;
  const upTo = (ms: number, count: number) => (): Artifact | null => {
    if (performance.now() >= startMs + ms && drawn >= count) return null;
    drawn += 1;
    return reads.draw();
  };
  await load.read(first.port, upTo(readMs[end] / 4, readsMin / 2));
  const newer = small(share.second);
  await load.write(first.port, newer);
  cold.push(...newer);
  await load.read(first.port, upTo(readMs[end], readsMin));
  const before = await measure(load, first, reads);
  const evictedBefore = (await readMetrics(first.url)).sum("kura_store_evicted_artifacts_total");
  if (end === "stop") await first.stop();
  else await first.kill();
  const node = await first.restart();
  await load.write(node.port, small(share.last));
  const after = await measure(load, node, reads);
  const metrics = await readMetrics(node.url);
  return {
    before,
    after,
    evictedBefore,
    evictedAfter: metrics.sum("kura_store_evicted_artifacts_total"),
    movedAfter: metrics.sum("kura_store_moved_artifacts_total"),
  };
}

export function describeHotSet({ before, after, ...counts }: HotSetReport): string {
  const percent = (rate: number): string => `${(100 * rate).toFixed(1)} %`;
  const { evictedBefore, evictedAfter, movedAfter } = counts;
  return (
    `hits before ${percent(before.small)} (large ${percent(before.large)}), ` +
    `after ${percent(after.small)} (large ${percent(after.large)}); ` +
    `evicted ${evictedBefore} before, ${evictedAfter} after, moved ${movedAfter} after`
  );
}

async function measure(load: HotSetLoad, node: NodeProcess, reads: Reads): Promise<HitRates> {
  let left = measuredReads;
  const small = await load.read(node.port, () => (left-- > 0 ? reads.drawSmall() : null));
  let leftLarge = measuredLargeReads;
  const large = await load.read(node.port, () => (leftLarge-- > 0 ? reads.drawLarge() : null));
  return { small, large };
}

/** Which artifact is asked for next: a few of the hot ones very often, all of them now and then. */
class Reads {
  readonly #random: Random;
  readonly #sets: { hot: Artifact[]; hotLarge: Artifact[]; cold: Artifact[] };
  readonly #ranks: Zipf;
  /** Which artifact has which rank: the first ones written are not the hottest. */
  readonly #order: number[];

  constructor(seed: number, sets: { hot: Artifact[]; hotLarge: Artifact[]; cold: Artifact[] }) {
    this.#random = seededRandom(seed);
    this.#sets = sets;
    this.#ranks = new Zipf(this.#random, sets.hot.length, skew);
    this.#order = shuffled(this.#random, sets.hot.length);
  }

  draw(): Artifact {
    return this.#random.below(largeEvery) === 0 ? this.drawLarge() : this.drawSmall();
  }

  drawSmall(): Artifact {
    const { hot, cold } = this.#sets;
    if (this.#random.below(100) < coldPercent) return cold[this.#random.below(cold.length)]!;
    return hot[this.#order[this.#ranks.draw()]!]!;
  }

  drawLarge(): Artifact {
    const { hotLarge } = this.#sets;
    return hotLarge[this.#random.below(hotLarge.length)]!;
  }
}

class HotSetLoad {
  readonly #bodies: NumberedBodies;
  #count = 0;

  constructor(seed: number) {
    this.#bodies = new NumberedBodies(seed);
  }

  /** New artifacts of one size, of so many bytes together. */
  plan(allBytes: number, sizeBytes: number): Artifact[] {
    const count = Math.floor(allBytes / sizeBytes);
    return Array.from({ length: count }, () => ({ number: this.#count++, sizeBytes }));
  }

  async write(port: number, artifacts: readonly Artifact[]): Promise<void> {
    let next = 0;
    await inLanes(port, async (connection) => {
      for (let i = next++; i < artifacts.length; i = next++) {
        const { number, sizeBytes } = artifacts[i]!;
        const body = this.#bodies.make(number, sizeBytes);
        const answer = await connection.exchange({ method: "PUT", target: pathOf(number), body });
        if (answer.at === "answered" && answer.status === 200) continue;
        throw new Error(`Artifact ${number} was not stored: ${tell(answer)}`);
      }
    });
  }

  /** Reads what `draw` gives until it gives null; the share of hits. */
  async read(port: number, draw: () => Artifact | null): Promise<number> {
    let [hits, count] = [0, 0];
    await inLanes(port, async (connection) => {
      for (let wanted = draw(); wanted !== null; wanted = draw()) {
        const { number } = wanted;
        const answer = await connection.exchange({ method: "GET", target: pathOf(number) });
        count += 1;
        if (answer.at === "answered" && answer.status === 404) continue;
        const isRight =
          answer.at === "answered" &&
          answer.status === 200 &&
          answer.body.length === wanted.sizeBytes &&
          this.#bodies.isRight(number, answer.body);
        if (!isRight)
          throw new Error(`Artifact ${number} is not what was written: ${tell(answer)}`);
        hits += 1;
      }
    });
    return hits / count;
  }
}

async function inLanes(
  port: number,
  work: (connection: LoadConnection) => Promise<void>,
): Promise<void> {
  const lane = async (): Promise<void> => {
    const connection = openLoadConnection(port, answerMsMax);
    try {
      await work(connection);
    } finally {
      connection.close();
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

function pathOf(number: number): string {
  return `/v1/cache/${number}`;
}

function tell(answer: Exchange): string {
  return answer.at === "lost" ? answer.reason : `${answer.status}, ${answer.body.length} bytes`;
}
