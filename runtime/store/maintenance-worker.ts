import { Database } from "bun:sqlite";
import { Fault, systemCode } from "../base/fault.ts";
import { realDisk } from "../base/real-disk.ts";
import { MiB } from "../base/units.ts";
import { walkCensus } from "./census-walk.ts";
import { checkLargeFile } from "./check-large.ts";
import { writeHint } from "./hint-file.ts";
import { emptyPage, type RecordPage, type RecordRange, readRecordPage } from "./record-page.ts";
import { readScopeNames } from "./scope-names.ts";
import type { DamagedPlace } from "./scrub-place.ts";
import { findRowsAt } from "./scrub-rows.ts";
import { scrubSlice, scrubSliceBytes } from "./scrub-slice.ts";
import type { WorkerJob, WorkerReply, WorkerRequest } from "./worker-protocol.ts";

declare const self: Worker;

/** Rows of one read transaction of a sweep: a long one would keep checkpoints from ending. */
const sweepRows = 10_000;

type Steps = Generator<void, unknown>;
type Running = { readonly number: number; readonly steps: Steps };

/** Jobs by urgency; within one class they take turns. */
const queues: Record<"checkpoint" | "check" | "sweep" | "scrub", Running[]> = {
  checkpoint: [],
  check: [],
  sweep: [],
  scrub: [],
};

let indexPath = "";
let database: Database | null = null;
let isTurning = false;
/** Made by the first slice of a scrub. */
let scrubWindow: Uint8Array | null = null;

self.onmessage = (event: MessageEvent<WorkerRequest>) => {
  const { number, job } = event.data;
  if (job.op === "ping") return reply({ number });
  const running = { number, steps: start(job) };
  if (job.op === "open" || job.op === "release" || job.op === "checkpoint") {
    queues.checkpoint.push(running);
  } else if (job.op === "check" || job.op === "records" || job.op === "remove") {
    queues.check.push(running);
  } else if (job.op === "scrub") queues.scrub.push(running);
  else queues.sweep.push(running);
  if (!isTurning) turn();
};

/** Runs one step of the most urgent job, then lets messages in. */
function turn(): void {
  const queue = Object.values(queues).find((jobs) => jobs.length > 0);
  const running = queue?.shift();
  isTurning = running !== undefined;
  if (queue === undefined || running === undefined) return;
  try {
    const step = running.steps.next();
    if (step.done === true) reply({ number: running.number, value: step.value });
    else queue.push(running);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const isFull = error instanceof Fault ? error.code === "full" : isSqliteFull(error);
    reply({ number: running.number, error: { message, isFull } });
  }
  setImmediate(turn);
}

function isSqliteFull(error: unknown): boolean {
  return systemCode(error) === "SQLITE_FULL";
}

function reply(message: WorkerReply): void {
  self.postMessage(message);
}

function start(job: Exclude<WorkerJob, { op: "ping" }>): Steps {
  switch (job.op) {
    case "open":
      return once(() => {
        indexPath = job.indexPath;
      });
    case "release":
      return once(releaseIndex);
    case "checkpoint":
      return once(() => {
        connect().exec("PRAGMA wal_checkpoint(PASSIVE)");
      });
    case "check":
      return check(job.path, job.expected);
    case "unreferenced":
      return findUnreferenced(job.candidates);
    case "ids":
      return readIds(job.after, job.limit);
    case "records":
      return readRecords(job.path, job.range);
    case "remove":
      return once(() => void realDisk.remove(job.path));
    case "hint":
      return once(() => writeHint(realDisk, job.path, job.payload));
    case "census":
      return census();
    case "scopeNames":
      return readScopeNames(realDisk, job.places);
    case "ballast":
      return makeBallast(job.path, job.sizeBytes);
    case "scrub":
      scrubWindow ??= new Uint8Array(scrubSliceBytes);
      return scrubSlice(realDisk, job.request, scrubWindow);
    case "rowsAt":
      return rowsAt(job.places);
  }
}

function* once(run: () => void): Steps {
  yield;
  run();
  return undefined;
}

function connect(): Database {
  if (database !== null) return database;
  database = new Database(indexPath, { create: false, readwrite: true });
  database.exec("PRAGMA busy_timeout = 5000");
  // The connection that writes leaves it to this one to sync.
  database.exec("PRAGMA synchronous = FULL");
  return database;
}

/**
 * Jobs that read the index end with it: one that went on would open the index again, while it is being moved aside,
 * or judge by the old one.
 */
function releaseIndex(): void {
  for (const { number, steps } of queues.sweep.splice(0)) {
    steps.return(undefined);
    reply({ number, error: { message: "the index was released", isFull: false } });
  }
  database?.close();
  database = null;
}

function* check(
  path: string,
  expected: Parameters<typeof checkLargeFile>[1],
): Generator<void, boolean> {
  const file = realDisk.open(path, "read");
  if (file === null) return false;
  try {
    return yield* checkLargeFile(file, expected);
  } finally {
    file.close();
  }
}

function* readRecords(path: string, range: RecordRange): Generator<void, RecordPage> {
  const file = realDisk.open(path, "read");
  if (file === null) return emptyPage;
  try {
    return yield* readRecordPage(file, range);
  } finally {
    file.close();
  }
}

function* findUnreferenced(candidates: readonly number[]): Generator<void, number[]> {
  const unreferenced = new Set(candidates);
  const page = connect().prepare<{ id: Uint8Array; file: number }, [Uint8Array, number]>(
    "SELECT id, file FROM artifact WHERE id > ? ORDER BY id LIMIT ?",
  );
  let after: Uint8Array = new Uint8Array(0);
  try {
    for (;;) {
      const rows = page.all(after, sweepRows);
      for (const row of rows) unreferenced.delete(row.file);
      const last = rows.at(-1);
      if (last === undefined) return [...unreferenced];
      after = last.id;
      yield;
    }
  } finally {
    page.finalize();
  }
}

function* readIds(after: Uint8Array, limit: number): Generator<void, Uint8Array> {
  yield;
  const page = connect().prepare<{ id: Uint8Array }, [Uint8Array, number]>(
    "SELECT id FROM artifact WHERE id > ? ORDER BY id LIMIT ?",
  );
  const rows = page.all(after, limit);
  page.finalize();
  const packed = new Uint8Array(32 * rows.length);
  for (const [i, row] of rows.entries()) packed.set(row.id, 32 * i);
  return packed;
}

function* census(): Steps {
  return yield* walkCensus(connect());
}

function* rowsAt(places: readonly DamagedPlace[]): Steps {
  yield;
  return yield* findRowsAt(connect(), places);
}

function* makeBallast(path: string, sizeBytes: number): Steps {
  const found = realDisk.sizeBytes(path);
  if (found === sizeBytes) return;
  if (found !== null) realDisk.remove(path);
  const file = realDisk.create(path);
  try {
    const zeros = new Uint8Array(MiB);
    for (let at = 0; at < sizeBytes; at += zeros.length) {
      file.write(zeros.subarray(0, Math.min(zeros.length, sizeBytes - at)), at);
      yield;
    }
    file.sync();
  } catch (error) {
    realDisk.remove(path);
    throw new Fault("full", `Cannot make the ballast ${path}`, { cause: error });
  } finally {
    file.close();
  }
}
