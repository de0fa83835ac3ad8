import { systemClock } from "../../runtime/base/clock.ts";
import { minute } from "../../runtime/base/units.ts";
import { accepts, type NodeOptions, type NodeProcess, spawnNode } from "./node-process.ts";

const startMsMax = 1 * minute;

/** A node that has been started, and the milliseconds from its start until `/ready` was 200. */
export type TimedStart = { readonly node: NodeProcess; readonly readyMs: number };

/** Asks every millisecond: a finer step takes time from the start that it watches. */
export async function startTimed(options: NodeOptions): Promise<TimedStart> {
  const startMs = systemClock.monotonicMs();
  const node = await spawnNode(options);
  let isEnded = false;
  node.exited.then(() => {
    isEnded = true;
  });
  for (;;) {
    if (await isReady(node)) return { node, readyMs: systemClock.monotonicMs() - startMs };
    if (isEnded || systemClock.monotonicMs() - startMs > startMsMax) {
      await node.kill();
      throw new Error(`The node did not start within ${startMsMax} ms\n${node.stderr()}`);
    }
    await Bun.sleep(1);
  }
}

async function isReady(node: NodeProcess): Promise<boolean> {
  if (!(await accepts(node.port))) return false;
  const answer = await fetch(`${node.url}/ready`);
  await answer.arrayBuffer();
  return answer.status === 200;
}
