import { second } from "../../runtime/base/units.ts";

/** What one spec file came to. A file that hung, crashed or ran nothing counts as at least one failure. */
export type FileResult = {
  readonly path: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly durationMs: number;
  /** Everything the file printed. */
  readonly output: string;
  /** What the runner has to say besides the counts. */
  readonly notes: readonly string[];
};

export type FileRun = {
  readonly path: string;
  /** Exit code, or the name of the signal or error that ended the process. */
  readonly exit: number | string;
  /** The JUnit report, or null when the process ended before it was written. */
  readonly report: string | null;
  readonly output: string;
  readonly timedOutAfterMs: number | null;
  /** The spec ended while processes it had started still ran; they have been killed. */
  readonly leftProcesses: boolean;
  readonly durationMs: number;
};

type Counts = { passed: number; failed: number; skipped: number };

/** Counts one run. The report is trusted for what it lists, the exit code for whether all is well. */
export function countResult(run: FileRun): FileResult {
  const counts = countsOfReport(run.report) ?? countsOfOutput(run.output);
  const notes: string[] = [];
  if (run.timedOutAfterMs !== null) {
    notes.push(`killed with all it started: still running after ${run.timedOutAfterMs / second} s`);
  } else if (typeof run.exit === "string") {
    notes.push(`the process died: ${run.exit}`);
  } else if (run.exit !== 0 && counts.failed === 0) {
    notes.push(`exit code ${run.exit} although no test failed: an error outside of any test`);
  } else if (counts.passed + counts.failed + counts.skipped === 0) {
    notes.push("no test ran in this file");
  } else if (run.report === null && counts.failed === 0) {
    notes.push("the process ended before its report was written: something called exit");
  }
  const failed = counts.failed + (notes.length > 0 ? 1 : 0);
  if (run.leftProcesses) notes.push("left processes behind, which were killed");
  const { path, durationMs, output } = run;
  return {
    path,
    durationMs,
    output,
    passed: counts.passed,
    skipped: counts.skipped,
    failed,
    notes,
  };
}

/** Reads the totals of Bun's JUnit report: `<testsuites name=".." tests="3" failures="1" skipped="0" ...>`. */
export function countsOfReport(report: string | null): Counts | null {
  const totals = report?.match(/<testsuites\b[^>]*>/)?.[0];
  if (totals === undefined) return null;
  const [tests, failed, errors, skipped] = ["tests", "failures", "errors", "skipped"].map((name) =>
    Number(totals.match(new RegExp(`\\b${name}="(\\d+)"`))?.[1] ?? 0),
  ) as [number, number, number, number];
  return { passed: tests - failed - errors - skipped, failed: failed + errors, skipped };
}

/** A file that died has no report; what it had finished stands in its output, one line a test. */
export function countsOfOutput(output: string): Counts {
  const lines = (mark: string): number =>
    output.split("\n").filter((line) => line.startsWith(`(${mark})`)).length;
  return { passed: lines("pass"), failed: lines("fail"), skipped: lines("skip") };
}
