import { expect, test } from "bun:test";
import { seededRandom } from "../../runtime/base/random.ts";
import {
  mutate,
  randomStream,
  readByEngine,
  readByNode,
  type SeenRequest,
  splitAnywhere,
} from "../support/http1-streams.ts";
import { scaled } from "../support/tier.ts";

const firstSeed = Number(process.env.KURA_SPEC_SEED ?? 1);
const testMsMax = 300_000;

/** Runs with one seed after the other; a failure names its seed. */
async function withSeeds(longCount: number, run: (seed: number) => Promise<void>): Promise<void> {
  const count = process.env.KURA_SPEC_SEED === undefined ? scaled(longCount) : 1;
  for (let seed = firstSeed; seed < firstSeed + count; seed += 1) {
    try {
      await run(seed);
    } catch (error) {
      throw new Error(`KURA_SPEC_SEED=${seed} shows it again`, { cause: error });
    }
  }
}

test(
  "a stream of requests means the same in whatever pieces it comes and its answers go",
  async () => {
    await withSeeds(100_000, async (seed) => {
      const random = seededRandom(seed);
      const stream = randomStream(random);
      const whole = await readByEngine([Buffer.from(stream)]);
      expect(withoutSkipped(readByNode(stream), whole.requests)).toEqual(whole.requests);
      expect(whole).toMatchObject({ pending: 0, isEnded: true });
      const roomBytes = [1, 30, 1e9][random.below(3)] ?? 1;
      const parted = await readByEngine(splitAnywhere(random, stream), roomBytes);
      expect(parted).toEqual(whole);
    });
  },
  testMsMax,
);

test(
  "a broken stream hangs nowhere, and means to us what it means to Node, or less",
  async () => {
    await withSeeds(200_000, async (seed) => {
      const random = seededRandom(seed);
      const stream = mutate(random, randomStream(random));
      const theirs = readByNode(stream);
      const ours = await readByEngine(splitAnywhere(random, stream));
      expect(ours).toMatchObject({ pending: 0, isEnded: true });
      expect(ours.requests.length).toBeLessThanOrEqual(theirs.length);
      for (const [i, request] of ours.requests.entries()) {
        const other = theirs[i];
        const body = request.body === null ? (other?.body ?? null) : request.body;
        expect({ ...request, body }).toEqual(other ?? request);
      }
    });
  },
  testMsMax,
);

/** What was answered unread has no body here. */
function withoutSkipped(theirs: SeenRequest[], ours: readonly SeenRequest[]): SeenRequest[] {
  return theirs.map((one, i) => (ours[i]?.body === null ? { ...one, body: null } : one));
}
