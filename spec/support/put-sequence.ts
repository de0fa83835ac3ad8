import type { Random } from "../../runtime/base/random.ts";
import { KiB, MiB } from "../../runtime/base/units.ts";
import type { Outcome } from "./history.ts";
import type { Judge } from "./judge.ts";
import { openLoadConnection } from "./load-client.ts";
import type { KeySpace } from "./load-keys.ts";
import { keyValueBytesMax } from "./load-sizes.ts";
import { keyText, makeContent, outcomeOf, putRequest } from "./load-surface.ts";

/** One put of a sequence; times are of the wall clock, as in a trace. */
export type SequencePut = {
  readonly key: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly outcome: Outcome;
  /** Null when no answer came. */
  readonly status: number | null;
};

export type SequenceOptions = {
  readonly port: number;
  readonly judge: Judge;
  readonly keySpace: KeySpace;
  readonly random: Random;
  readonly count: number;
  /** Sizes in turn; by default one for each way in which a body is kept. */
  readonly sizesBytes?: readonly number[];
};

const defaultSizesBytes = [100, 3 * KiB, 70 * KiB, 1, 300 * KiB, MiB + 5];
/** So that the end of one put and the start of the next fall into different milliseconds. */
const gapMs = 3;

/** Puts fresh names one after the other, each alone in its group. */
export async function putOneByOne(options: SequenceOptions): Promise<SequencePut[]> {
  const { port, judge, keySpace, random, count, sizesBytes = defaultSizesBytes } = options;
  const connection = openLoadConnection(port);
  const puts: SequencePut[] = [];
  for (let i = 0; i < count; i++) {
    const key = keySpace.drawFresh(random);
    const drawnBytes = sizesBytes[i % sizesBytes.length]!;
    const isKeyValue = key.surface === "keyvalue";
    const sizeBytes = isKeyValue ? Math.min(drawnBytes, keyValueBytesMax) : drawnBytes;
    const isChunked = key.surface === "metro";
    const content = makeContent(keySpace.nextContentName(key), sizeBytes);
    const { request, value } = putRequest(key, content, { isChunked });
    const op = judge.put(keyText(key), value);
    const startMs = Date.now();
    const exchange = await connection.exchange(request);
    const endMs = Date.now() + 1;
    const outcome = outcomeOf(exchange);
    judge.accept({ at: "outcome", op, outcome });
    const status = exchange.at === "answered" ? exchange.status : null;
    puts.push({ key: keyText(key), startMs, endMs, outcome, status });
    await Bun.sleep(gapMs);
  }
  connection.close();
  return puts;
}
