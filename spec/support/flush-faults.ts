import fs from "node:fs";
import path from "node:path";
import { second } from "../../runtime/base/units.ts";
import { type FaultRun, withFaultRun } from "./fault-run.ts";
import { startLoad } from "./load-driver.ts";
import { KeySpace } from "./load-keys.ts";
import { planBodies } from "./load-sizes.ts";
import { type NodeProcess, until } from "./node-process.ts";
import { putOneByOne, type SequencePut } from "./put-sequence.ts";
import {
  attachStrace,
  changingCalls,
  type Injection,
  readTrace,
  type TracedCall,
} from "./strace.ts";

/** One way in which the disk fails while the node runs. */
export type DiskFault =
  | { readonly at: "call"; readonly injection: Injection }
  /** No file may grow beyond the active segment's size and so much more: writes come back short, then fail. */
  | { readonly at: "fileSizeLimit"; readonly roomBytes: number };

export type FlushReport = {
  readonly runs: number;
  readonly injectedFailures: number;
  /** Runs whose fault lay beyond the last call of the run, or that were not traced: nothing was injected. */
  readonly runsWithoutInjection: number;
  readonly acknowledged: number;
  readonly refused: number;
};

/** Every run leaves a file whose end is burnt, and a store counts those: it gets a fresh directory in time. */
const runsPerStore = 20;
const putsPerRun = 14;
const writersUnderLoad = 8;
const loadMs = 300;
const resumeMsMax = 5 * second;
const cleanedNamespaceCount = 2;

/**
 * Fails the disk under a running node in one way after the other: what is in the failed group must not be
 * acknowledged, the failed file must be left alone for good, reads must go on, and after a kill and a start on a
 * sound disk everything acknowledged must be there and nothing refused.
 */
export async function runDiskFaults(
  purpose: string,
  faults: readonly DiskFault[],
): Promise<FlushReport> {
  const report = {
    runs: 0,
    injectedFailures: 0,
    runsWithoutInjection: 0,
    acknowledged: 0,
    refused: 0,
  };
  for (let first = 0; first < faults.length; first += runsPerStore) {
    await withFaultRun(purpose, async (run) => {
      const keySpace = new KeySpace(run.seed, cleanedNamespaceCount);
      for (const fault of faults.slice(first, first + runsPerStore)) {
        const one = await runOneFault(run, keySpace, fault).catch((error: unknown) => {
          throw new Error(`${JSON.stringify(fault)}: ${String(error)}`, { cause: error });
        });
        report.runs++;
        report.injectedFailures += one.injectedFailures;
        if (one.injectedFailures === 0) report.runsWithoutInjection++;
        report.acknowledged += one.puts.filter((put) => put.outcome === "acknowledged").length;
        report.refused += one.puts.filter((put) => put.outcome !== "acknowledged").length;
      }
    });
  }
  return report;
}

async function runOneFault(run: FaultRun, keySpace: KeySpace, fault: DiskFault) {
  const { judge, random } = run;
  const node = await run.start();
  const target = { port: node.port, judge, keySpace, random };
  await putOneByOne({ ...target, count: putsPerRun });

  const ending = await beginFault(run, node, fault);
  const puts = await putOneByOne({ ...target, count: putsPerRun });
  await run.readAll(node);
  const load = startLoad({
    ...target,
    writers: writersUnderLoad,
    plannedBodies: planBodies(random),
    cleans: 1,
  });
  await Bun.sleep(loadMs);
  await load.stop();
  const calls = await ending();

  await run.readAll(node);
  if (!isForEver(fault)) await waitForWrites(run, node, keySpace);
  await run.crash(node);
  checkTrace(run, calls, puts);
  const next = await run.start();
  await run.audit(next);
  await next.kill();
  judge.accept({ at: "crash" });
  run.verify();
  return { puts, injectedFailures: calls.filter((call) => call.isInjected).length };
}

function isForEver(fault: DiskFault): boolean {
  return fault.at === "fileSizeLimit" || fault.injection.isForEver === true;
}

/** Makes the disk fail; the returned function heals it and gives the calls that were traced meanwhile. */
async function beginFault(
  run: FaultRun,
  node: NodeProcess,
  fault: DiskFault,
): Promise<() => Promise<TracedCall[]>> {
  if (fault.at === "fileSizeLimit") {
    const limitBytes = activeSegmentBytes(run.dataDir) + fault.roomBytes;
    setFileSizeLimit(node.pid, String(limitBytes));
    return async () => {
      setFileSizeLimit(node.pid, "unlimited");
      return [];
    };
  }
  const traceFile = path.join(run.folder, "flush.trace");
  const { injection } = fault;
  const trace = await attachStrace(node.pid, { traceFile, calls: changingCalls, injection });
  return async () => {
    await trace.detach();
    return readTrace(traceFile).filter((call) => call.path.startsWith(`${run.dataDir}/`));
  };
}

function activeSegmentBytes(dataDir: string): number {
  const folder = path.join(dataDir, "segments");
  const last = fs.readdirSync(folder).sort().at(-1);
  if (last === undefined) throw new Error(`No segment in ${folder}`);
  return fs.statSync(path.join(folder, last)).size;
}

/** Past this size writes come back short and the next one fails with EFBIG: seen with Bun 1.4.5 on 2026-11-22. */
function setFileSizeLimit(pid: number, limit: string): void {
  const result = Bun.spawnSync(["prlimit", "--pid", String(pid), `--fsize=${limit}:unlimited`]);
  if (result.exitCode !== 0) throw new Error(`Cannot limit ${pid}: ${result.stderr.toString()}`);
}

async function waitForWrites(run: FaultRun, node: NodeProcess, keySpace: KeySpace): Promise<void> {
  const { judge, random } = run;
  const isWriting = async (): Promise<boolean> => {
    const [put] = await putOneByOne({ port: node.port, judge, keySpace, random, count: 1 });
    return put?.outcome === "acknowledged";
  };
  await until("writes going on after a failure that is over", isWriting, resumeMsMax);
}

/** What the trace of the failing disk shows of promises that only it can show. */
function checkTrace(
  run: FaultRun,
  calls: readonly TracedCall[],
  puts: readonly SequencePut[],
): void {
  for (const [i, failure] of calls.entries()) {
    if (!failure.isInjected) continue;
    const name = path.relative(run.dataDir, failure.path);
    const isDataFile = name.endsWith(".seg") || name.endsWith(".body");
    const isSync = failure.call === "fsync" || failure.call === "fdatasync";
    if (isDataFile) checkNotAcknowledged(failure, puts);
    if (!isDataFile && !(isSync && name.startsWith("kura.db"))) continue;
    const again = calls
      .slice(i + 1)
      .find((call) => call.path === failure.path && isTouching(call, isDataFile));
    if (again !== undefined) {
      throw new Error(`${name}: ${failure.call} failed, and later came ${again.call} on it again`);
    }
  }
}

/** A data file that failed is neither written nor synced again; SQLite's files are not synced again. */
function isTouching({ call }: TracedCall, isDataFile: boolean): boolean {
  const isSync = call === "fsync" || call === "fdatasync";
  return isDataFile ? isSync || call.includes("write") || call === "ftruncate" : isSync;
}

function checkNotAcknowledged(failure: TracedCall, puts: readonly SequencePut[]): void {
  const underWay = puts.find(
    (put) => put.startMs <= failure.startMs && failure.startMs <= put.endMs,
  );
  if (underWay?.outcome !== "acknowledged") return;
  throw new Error(
    `${underWay.key} was acknowledged although ${failure.call} of ${failure.path} failed under it`,
  );
}
