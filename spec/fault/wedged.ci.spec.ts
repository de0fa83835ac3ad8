import { expect, test } from "bun:test";
import path from "node:path";
import { MiB, minute, second } from "../../runtime/base/units.ts";
import { timedExchange } from "../support/every-upload.ts";
import { type FaultRun, withFaultRun } from "../support/fault-run.ts";
import { KeySpace } from "../support/load-keys.ts";
import { readMetric } from "../support/metric-lines.ts";
import { type NodeProcess, until } from "../support/node-process.ts";
import { putOneByOne, type SequencePut } from "../support/put-sequence.ts";
import { digestOf, ReapiClient } from "../support/reapi-client.ts";
import { mountLoopExt4 } from "../support/small-disk.ts";
import { attachStrace, type ChangingCall } from "../support/strace.ts";
import { runAsRoot } from "../support/tmpfs.ts";

const testMsMax = 2 * minute;
const stallMs = 1_500;
const livenessMs = 6_000;
/** Looks of the store and of the life cycle, and a machine that is busy with other things. */
const slackMs = 2 * second;
const resumeMsMax = 5 * second;
const grpcUnavailable = 14;
const forEverMs = 60 * minute;
const writers = 40;

type Readiness = {
  readonly reasons: string[];
  readonly reason_codes: string[];
  readonly degraded: { mode: string }[];
};

test(
  "a log whose sync hangs takes the node out of rotation, lets its writers go, and fails /up when that lasts",
  () =>
    withFaultRun("wedged-log", async (run) => {
      const env = {
        KURA_STORE_STALL_MS: String(stallMs),
        KURA_LIVENESS_STALL_MS: String(livenessMs),
      };
      const node = await run.start({ env });
      const target = targetOf(run, node);
      await putOneByOne({ ...target, count: 12 });

      const hang = await hangCalls(run, node, ["fdatasync"]);
      const startMs = performance.now();
      const ended = Array.from({ length: writers }, () => putOneByOne({ ...target, count: 1 }));
      await until("out of rotation", async () => !(await isOk(node, "/ready")), stallMs + slackMs);
      const readiness = (await (await fetch(`${node.url}/ready`)).json()) as Readiness;
      expect(readiness.reason_codes).toEqual(["store_wedged"]);
      expect(readiness.reasons[0]).toContain("the disk does not answer");
      expect(readiness.degraded.map(({ mode }) => mode)).toEqual(["store_wedged"]);
      checkLetGo((await Promise.all(ended)).flat());
      expect(performance.now() - startMs).toBeLessThan(stallMs + 2 * slackMs);
      expect(await isOk(node, "/up")).toBe(true);

      await checkRefusedAtOnce(node, targetOf(run, node));
      expect(await readMetric(node.url, "kura_store_wedged")).toBe(1);
      expect(await readMetric(node.url, 'kura_degraded{mode="store_wedged"}')).toBe(1);
      await run.readAll(node);

      await until("/up fails", async () => !(await isOk(node, "/up")), livenessMs + slackMs);
      expect(await (await fetch(`${node.url}/up`)).json()).toMatchObject({ status: "wedged" });
      await hang.detach();
      await checkHealed(run, node);
      await run.crash(node);
      await run.audit(await run.start({ env }));
    }),
  testMsMax,
);

test(
  "a Worker that hangs in a checkpoint is noticed: who waits for it is let go, and writes go on",
  () =>
    withFaultRun("wedged-worker", async (run) => {
      const env = {
        KURA_STORE_STALL_MS: String(stallMs),
        KURA_METADATA_STORE_WRITE_BUFFER_BYTES: String(MiB / 16),
      };
      const node = await run.start({ env });
      const target = targetOf(run, node);
      const large = `${node.url}/api/cache/gradle/0a?tenant_id=default&namespace_id=large`;
      const body = new Uint8Array(3 * MiB).fill(7);
      expect((await fetch(large, { method: "PUT", body })).status).toBe(201);

      const index = path.join(run.dataDir, "kura.db");
      const hang = await hangCalls(run, node, ["fsync", "fdatasync"], [index]);
      const isWedged = async (): Promise<boolean> => {
        await putOneByOne({ ...target, count: 5, sizesBytes: [100] });
        return !(await isOk(node, "/ready"));
      };
      await until("out of rotation", isWedged, 30 * second);
      const readiness = (await (await fetch(`${node.url}/ready`)).json()) as Readiness;
      expect(readiness.reason_codes).toEqual(["store_wedged"]);
      const startMs = performance.now();
      expect((await fetch(large)).status).toBe(503);
      expect(performance.now() - startMs).toBeLessThan(slackMs);
      const [put] = await putOneByOne({ ...target, count: 1, sizesBytes: [100] });
      expect(put?.outcome).toBe("acknowledged");

      await hang.detach();
      await checkHealed(run, node);
      const found = new Uint8Array(await (await fetch(large)).arrayBuffer());
      expect(Buffer.compare(found, body)).toBe(0);
    }),
  testMsMax,
);

test(
  "a file system that is frozen stops the loop: nobody is answered, and it is told of when it goes on",
  () =>
    withFaultRun("frozen", async (run) => {
      const disk = mountLoopExt4(run.dataDir);
      try {
        const node = await run.start();
        const target = targetOf(run, node);
        await putOneByOne({ ...target, count: 6 });
        runAsRoot(["fsfreeze", "--freeze", disk.path]);
        const put = putOneByOne({ ...target, count: 1, sizesBytes: [100] });
        try {
          await until("/up does not answer", async () => !(await answers(node)), 10 * second);
        } finally {
          runAsRoot(["fsfreeze", "--unfreeze", disk.path]);
        }
        expect((await put)[0]?.outcome).toBe("acknowledged");
        await checkHealed(run, node);
        await until("the stop is told", () => node.stderr().includes("The loop did not turn"));
        expect(await readMetric(node.url, "kura_event_loop_lag_seconds")).toBeGreaterThan(1);
        await run.readAll(node);
      } finally {
        disk.unmount();
      }
    }),
  testMsMax,
);

function targetOf(run: FaultRun, node: NodeProcess) {
  const { judge, random, seed } = run;
  return { port: node.port, judge, random, keySpace: keySpaceOf(run, seed) };
}

const keySpaces = new WeakMap<FaultRun, KeySpace>();

/** One for each run: names are used once. */
function keySpaceOf(run: FaultRun, seed: number): KeySpace {
  const known = keySpaces.get(run) ?? new KeySpace(seed, 2);
  keySpaces.set(run, known);
  return known;
}

/** From now on these calls of the node do not come back until the tracing ends. */
function hangCalls(
  run: FaultRun,
  node: NodeProcess,
  calls: readonly ChangingCall[],
  paths?: readonly string[],
) {
  const injection = { calls, effect: { delayMs: forEverMs } };
  const traceFile = path.join(run.folder, "hang.trace");
  return attachStrace(node.pid, { traceFile, calls, injection, ...(paths && { paths }) });
}

async function isOk(node: NodeProcess, probe: string): Promise<boolean> {
  return (await fetch(node.url + probe)).status === 200;
}

async function answers(node: NodeProcess): Promise<boolean> {
  return await fetch(`${node.url}/up`, { signal: AbortSignal.timeout(2 * second) }).then(
    () => true,
    () => false,
  );
}

/** The group under way ends without a status, since nobody knows how it will end; the others are refused. */
function checkLetGo(puts: readonly SequencePut[]): void {
  const statuses = new Map<string, number>();
  for (const { key, status } of puts) {
    const kind = status === null ? "cut" : String(key.startsWith("nx/") ? status + 100 : status);
    statuses.set(kind, (statuses.get(kind) ?? 0) + 1);
  }
  console.log(`writers that were let go: ${JSON.stringify([...statuses])}`);
  expect([...statuses.keys()].sort()).toEqual(["503", "cut"]);
}

async function checkRefusedAtOnce(
  node: NodeProcess,
  target: ReturnType<typeof targetOf>,
): Promise<void> {
  const puts = await putOneByOne({ ...target, count: 8 });
  for (const put of puts) {
    expect(put.status).toBe(put.key.startsWith("nx/") ? 403 : 503);
    expect(put.endMs - put.startMs).toBeLessThan(second);
  }
  const request = { method: "POST", target: "/api/cache/module/start?tenant_id=t&hash=0a&name=a" };
  const start = await timedExchange(node.port, { ...request, method: "POST" });
  expect(start.status).toBe(503);
  using client = new ReapiClient(`127.0.0.1:${node.grpcPort}`);

  for (const sizeBytes of [100, 2 * MiB]) {
    const bytes = new Uint8Array(sizeBytes).fill(sizeBytes % 251);
    const { hash } = digestOf(bytes);
    const name = `a/uploads/0a/blobs/${hash}/${sizeBytes}`;
    expect((await client.write(name, bytes)).code).toBe(grpcUnavailable);
  }
  const health = await client.unary("/grpc.health.v1.Health/Check", new Uint8Array(0));
  // Field 1, NOT_SERVING.
  expect([...(health.value ?? [])]).toEqual([8, 2]);
}

async function checkHealed(run: FaultRun, node: NodeProcess): Promise<void> {
  await until("in rotation again", () => isOk(node, "/ready"), resumeMsMax);
  expect(await isOk(node, "/up")).toBe(true);
  const isWriting = async (): Promise<boolean> => {
    const [put] = await putOneByOne({ ...targetOf(run, node), count: 1 });
    return put?.outcome === "acknowledged";
  };
  await until("writes going on", isWriting, resumeMsMax);
  expect(await readMetric(node.url, "kura_store_wedged")).toBe(0);
  expect(await readMetric(node.url, 'kura_degraded{mode="store_wedged"}')).toBe(0);
  const logged = node.stderr();
  const isTold = logged.includes("store_wedged") || logged.includes("The loop did not turn");
  expect(isTold).toBe(true);
}
