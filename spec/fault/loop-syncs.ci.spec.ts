import { expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { minute } from "../../runtime/base/units.ts";
import { makeTemporaryFolder, startNode } from "../support/node-process.ts";
import { attachStrace, readTrace } from "../support/strace.ts";

const writes = 12_000;
/** Few, so that groups are small, and the log of the index grows by much for each write. */
const writersAtOnce = 4;
/** The log of the index starts anew after each but the first. */
const checkpointsMin = 3;

test(
  "the loop never waits for a sync of the index, however often its log starts anew",
  async () => {
    const folder = makeTemporaryFolder("loop-syncs");
    const traceFile = path.join(folder, "trace");
    const node = await startNode({ dataDir: path.join(folder, "data") });
    const trace = await attachStrace(node.pid, { traceFile, calls: ["fsync", "fdatasync"] });
    await putMany(node.url);
    await trace.detach();
    await node.stop();

    const synced = readTrace(traceFile).filter((call) => call.path.includes("kura.db"));
    const checkpoints = synced.filter((call) => call.path.endsWith("kura.db")).length;
    expect(checkpoints).toBeGreaterThanOrEqual(checkpointsMin);
    // The loop is the thread whose number is the process's own.
    expect(synced.filter((call) => call.thread === node.pid)).toEqual([]);
    fs.rmSync(folder, { recursive: true, force: true });
  },
  5 * minute,
);

async function putMany(base: string): Promise<void> {
  let next = 0;
  const writer = async (): Promise<void> => {
    while (next < writes) {
      const target = `${base}/api/cache/gradle/key-${next++}?tenant_id=a&namespace_id=b`;
      const answer = await fetch(target, { method: "PUT", body: `an artifact ${next}` });
      await answer.arrayBuffer();
      expect(answer.status).toBe(201);
    }
  };
  await Promise.all(Array.from({ length: writersAtOnce }, writer));
}
