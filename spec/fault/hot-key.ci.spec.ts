import { expect, test } from "bun:test";
import { KiB, second } from "../../runtime/base/units.ts";
import { type FaultRun, withFaultRun } from "../support/fault-run.ts";
import { openLoadConnection } from "../support/load-client.ts";
import { drawSkewed } from "../support/load-sizes.ts";
import {
  cleanRequest,
  getRequest,
  keyText,
  type LoadKey,
  makeContent,
  outcomeOf,
  putRequest,
  readFound,
} from "../support/load-surface.ts";

const hands = 64;
const readsMin = 10_000;
const runMsMax = 40 * second;
const testMsMax = 90 * second;
const namespace = "hot";
/** Two overwritten keys and two of which the first writer after each clean wins. */
const keys: readonly LoadKey[] = [
  { surface: "keyvalue", namespace, index: 1 },
  { surface: "keyvalue", namespace, index: 2 },
  { surface: "gradle", namespace, index: 1 },
  { surface: "xcode", namespace, index: 1 },
];
const bodyBytes = { min: 1, max: 300 * KiB };

test(
  "64 writers, 64 readers and cleans on four keys: every body is one whole version, never an older one",
  () =>
    withFaultRun("hot-key", async (run) => {
      const node = await run.start();
      const reads = await hammer(run, node.port);
      run.throwOnFindings();
      expect(reads).toBeGreaterThanOrEqual(readsMin);
      await run.crash(node);
      await run.audit(await run.start());
    }),
  testMsMax,
);

/** Goes on until there were enough reads; their number. */
async function hammer(run: FaultRun, port: number): Promise<number> {
  const startMs = performance.now();
  let reads = 0;
  const isOver = (): boolean => reads >= readsMin || performance.now() - startMs > runMsMax;
  const loop = async (work: (connection: Connection) => Promise<void>): Promise<void> => {
    const connection = openLoadConnection(port);
    while (!isOver()) await work(connection);
    connection.close();
  };
  const loops: Promise<void>[] = [];
  for (let i = 0; i < hands; i++) {
    loops.push(loop((connection) => put(run, connection)));
    loops.push(
      loop(async (connection) => {
        await get(run, connection);
        reads++;
      }),
    );
  }
  loops.push(loop((connection) => clean(run, connection)));
  await Promise.all(loops);
  return reads;
}

type Connection = ReturnType<typeof openLoadConnection>;
let generation = 0;

async function put({ random, judge, seed }: FaultRun, connection: Connection): Promise<void> {
  const key = keys[random.below(keys.length)]!;
  const sizeBytes = drawSkewed(random, bodyBytes.min, bodyBytes.max);
  const content = makeContent(`${seed} ${generation++}`, sizeBytes);
  const { request, value } = putRequest(key, content);
  const op = judge.put(keyText(key), value);
  const outcome = outcomeOf(await connection.exchange(request));
  judge.accept({ at: "outcome", op, outcome });
}

async function get({ random, judge }: FaultRun, connection: Connection): Promise<void> {
  const key = keys[random.below(keys.length)]!;
  const op = judge.get(keyText(key));
  const found = readFound(key, await connection.exchange(getRequest(key)));
  if (found.at === "failed") throw new Error(`A read failed: ${found.reason}`);
  judge.accept({ at: "found", op, value: found.value });
}

async function clean({ judge }: FaultRun, connection: Connection): Promise<void> {
  const op = judge.clean(namespace);
  const outcome = outcomeOf(await connection.exchange(cleanRequest(namespace)));
  judge.accept({ at: "outcome", op, outcome });
}
