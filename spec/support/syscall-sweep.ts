import fs from "node:fs";
import path from "node:path";
import { auditKeys } from "./audit.ts";
import { type FaultRun, withFaultRun } from "./fault-run.ts";
import { createJudge } from "./judge.ts";
import type { NodeProcess } from "./node-process.ts";
import {
  type ChangingCall,
  changingCalls,
  readTrace,
  straceLauncher,
  type TracedCall,
} from "./strace.ts";
import { runSyscallScript } from "./syscall-script.ts";

/** Where to kill: at the n-th such call on this path that any one thread makes. */
type Place = { readonly call: ChangingCall; readonly path: string; readonly nth: number };

export type SweepReport = {
  /** Calls of one undisturbed run that change files of the data directory. */
  readonly callCount: number;
  readonly places: number;
  readonly runs: number;
  /** Runs that the kill did end; the others had fewer such calls than the counted one. */
  readonly killed: number;
};

/**
 * Death at each system call. An undisturbed run of the script, from start to SIGTERM, is traced and its calls are
 * counted; then the run is repeated with a kill at one place after the other, each time on a fresh directory, and
 * the node is started again, read back, stopped and verified.
 *
 * strace counts each thread by itself. So a place is the n-th call of a kind on one path in whichever thread makes
 * n of them first: where only one thread makes such calls on a path (every write of the commit path and of SQLite)
 * this is each single call, and for the syncs of pool threads it is as many places as the busiest thread has calls.
 * Opening is swept only where it makes a file, since other opens leave nothing behind.
 *
 * @param step every how many places one is tried, from a start by chance; 1 tries all.
 */
export function runSyscallSweep(step: number): Promise<SweepReport> {
  return withFaultRun("syscall-sweep", async (run) => {
    const calls = await countCalls(run);
    const places = listPlaces(calls);
    let runs = 0;
    let killed = 0;
    for (let i = run.random.below(Math.min(step, places.length)); i < places.length; i += step) {
      const place = places[i]!;
      runs++;
      if (await tryPlace(run, place)) killed++;
    }
    return { callCount: calls.length, places: places.length, runs, killed };
  });
}

async function countCalls(run: FaultRun): Promise<TracedCall[]> {
  const traceFile = path.join(run.folder, "count.trace");
  const node = await run.start({
    launcher: straceLauncher({ traceFile, calls: changingCalls }),
  });
  await runSyscallScript(node.port, createJudge(null));
  await node.stop();
  const calls = readTrace(traceFile).filter((call) => isSwept(call, run.dataDir));
  if (calls.length === 0) throw new Error(`The trace shows no call in ${run.dataDir}`);
  return calls;
}

function isSwept(call: TracedCall, dataDir: string): boolean {
  if (call.path !== dataDir && !call.path.startsWith(`${dataDir}/`)) return false;
  return call.call !== "openat" || call.isCreating;
}

/** In the order of the first run, so that a step through them goes through the script from end to end. */
function listPlaces(calls: readonly TracedCall[]): Place[] {
  const counts = new Map<string, number>();
  const places = new Map<string, Place>();
  for (const { thread, call, path: file } of calls) {
    const known = changingCalls.find((name) => name === call);
    if (known === undefined) continue;
    const counter = `${thread} ${call} ${file}`;
    const nth = (counts.get(counter) ?? 0) + 1;
    counts.set(counter, nth);
    const name = `${call} ${file} ${nth}`;
    if (!places.has(name)) places.set(name, { call: known, path: file, nth });
  }
  return [...places.values()];
}

/** True when the kill came. @throws when anything acknowledged is gone or anything refused is there. */
async function tryPlace(run: FaultRun, place: Place): Promise<boolean> {
  fs.rmSync(run.dataDir, { recursive: true, force: true });
  const what = `${place.call} number ${place.nth} on ${path.relative(run.dataDir, place.path)}`;
  const judge = createJudge(null);
  try {
    const { nth, call } = place;
    const traceFile = path.join(run.folder, "kill.trace");
    const injection = { calls: [call], effect: { signal: "SIGKILL" }, nth } as const;
    const paths = [place.path];
    const launcher = straceLauncher({ traceFile, calls: [call], paths, injection });
    const isKilled = await runUntilKilled(run, launcher, judge);
    judge.accept({ at: "crash" });
    await recoverAndJudge(run, judge);
    return isKilled;
  } catch (error) {
    throw new Error(`Killed at ${what}: ${String(error)}`, { cause: error });
  }
}

async function runUntilKilled(
  run: FaultRun,
  launcher: string[],
  judge: ReturnType<typeof createJudge>,
) {
  const node = await run.spawn({ launcher });
  const isReady = await node.ready().then(
    () => true,
    () => false,
  );
  if (isReady) await runSyscallScript(node.port, judge);
  const code = await node.stop();
  return code === killedExitCode;
}

const killedExitCode = 137;

async function recoverAndJudge(
  run: FaultRun,
  judge: ReturnType<typeof createJudge>,
): Promise<void> {
  const node: NodeProcess = await run.start();
  await auditKeys({ port: node.port, judge, random: run.random });
  await node.kill();
  const [finding] = judge.findings;
  if (finding !== undefined) throw new Error(JSON.stringify(finding));
  run.verify();
}
