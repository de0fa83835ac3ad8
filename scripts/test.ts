/**
 * Runs the specs of a tier: `test.ts fast|ci|long [part of a path]`. The tier is the ending of the file:
 * `x.spec.ts` is fast, `x.ci.spec.ts` is ci (which runs fast too), `x.long.spec.ts` is long (which runs alone).
 * A file whose first line starts with `// heavy` runs while nothing else does; one that starts with `// slow` is among the
 * first to begin, so that nobody waits for it at the end.
 *
 * Every file is a process of its own: a file that hangs or crashes costs its own result and no other, and one file's
 * leftovers cannot reach the next. The last line is always "N passed, N failed".
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { systemClock } from "../runtime/base/clock.ts";
import { hour, minute, second } from "../runtime/base/units.ts";
import { isTier, type Tier } from "../spec/support/tier.ts";
import { binaryPath, build, isStale, root } from "./build.ts";
import { countResult, type FileResult } from "./test/count.ts";

/** Two: what the smallest machine we test on has, so that timings in specs mean the same everywhere. */
const filesAtOnceMax = 2;

/** A file beyond this is killed with all it started. The fast tier as a whole should stay below 3 minutes. */
const fileMsMax: Record<Tier, number> = { fast: 3 * minute, ci: 20 * minute, long: 24 * hour };
const testMsMax: Record<Tier, number> = { fast: 30 * second, ci: 10 * minute, long: 24 * hour };

export type SpecFile = {
  readonly path: string;
  readonly tier: Tier;
  readonly isHeavy: boolean;
  readonly isSlow: boolean;
};

/** The specs of a tier below `folder`: the platform canary, whose findings explain the others, slow ones, the others. */
export function chooseFiles(folder: string, tier: Tier, part: string): SpecFile[] {
  const wanted: Record<Tier, Tier[]> = { fast: ["fast"], ci: ["fast", "ci"], long: ["long"] };
  const turnOf = (file: SpecFile): number => {
    if (path.basename(file.path) === "platform.spec.ts") return 0;
    return file.isSlow ? 1 : 2;
  };
  return fs
    .readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.spec\.tsx?$/.test(name))
    .map((name) => path.join(folder, name))
    .filter((name) => name.includes(part))
    .map(readSpecFile)
    .filter((file) => wanted[tier].includes(file.tier))
    .sort((a, b) => turnOf(a) - turnOf(b) || (a.path < b.path ? -1 : 1));
}

export function tierOf(file: string): Tier {
  if (/\.ci\.spec\.tsx?$/.test(file)) return "ci";
  return /\.long\.spec\.tsx?$/.test(file) ? "long" : "fast";
}

function readSpecFile(file: string): SpecFile {
  const text = fs.readFileSync(file, "utf8");
  const isHeavy = text.startsWith("// heavy");
  return { path: file, tier: tierOf(file), isHeavy, isSlow: text.startsWith("// slow") };
}

export type RunOptions = {
  readonly tier: Tier;
  readonly fileMsMax: number;
  /** Reports and outputs of the files; removed by the caller. */
  readonly workFolder: string;
};

/** Process groups of the files that run now, so that an interrupted run leaves nothing behind. */
const runningGroups = new Set<number>();

function killGroup(group: number): boolean {
  try {
    return process.kill(-group, "SIGKILL");
  } catch {
    return false; // Nobody is left in the group.
  }
}

let nextReport = 0;

/** Runs one file as a process and counts what it said. Never rejects: a file that cannot run is a failure. */
export async function runFile(file: SpecFile, options: RunOptions): Promise<FileResult> {
  const stem = path.join(options.workFolder, String(nextReport++));
  const [reportPath, outputPath] = [`${stem}.xml`, `${stem}.txt`];
  const output = fs.openSync(outputPath, "w");
  const startedMs = systemClock.monotonicMs();
  // The output is a file, not a pipe: a grandchild that outlives the spec cannot keep the runner waiting.
  const child = spawn(process.execPath, bunTestArguments(file, reportPath), {
    cwd: root,
    stdio: ["ignore", output, output],
    detached: true,
    env: { ...process.env, KURA_TEST_TIER: options.tier, NO_COLOR: "1", FORCE_COLOR: "0" },
  });
  fs.closeSync(output);
  const group = child.pid ?? 0;
  if (group !== 0) runningGroups.add(group);
  let isTimedOut = false;
  const timer = systemClock.after(options.fileMsMax, () => {
    isTimedOut = true;
    if (group !== 0) killGroup(group);
  });

  const exit = await new Promise<number | string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => resolve(code ?? signal ?? "no exit code"));
  });

  timer.cancel();
  runningGroups.delete(group);
  const leftProcesses = !isTimedOut && group !== 0 && killGroup(group);
  return countResult({
    path: path.relative(root, file.path),
    exit,
    report: fs.existsSync(reportPath) ? fs.readFileSync(reportPath, "utf8") : null,
    output: fs.readFileSync(outputPath, "utf8"),
    timedOutAfterMs: isTimedOut ? options.fileMsMax : null,
    leftProcesses,
    durationMs: systemClock.monotonicMs() - startedMs,
  });
}

function bunTestArguments(file: SpecFile, reportPath: string): string[] {
  return [
    "test",
    `./${path.relative(root, file.path)}`,
    `--timeout=${testMsMax[file.tier]}`,
    "--reporter=junit",
    `--reporter-outfile=${reportPath}`,
  ];
}

/** Runs `files` with at most `atOnce` processes; results in the order of their end. */
async function runFiles(
  files: readonly SpecFile[],
  atOnce: number,
  run: (file: SpecFile) => Promise<FileResult>,
): Promise<FileResult[]> {
  const queue = [...files];
  const results: FileResult[] = [];
  const lane = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await run(file);
      printResult(result);
      results.push(result);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return results;
}

function printResult(result: FileResult): void {
  const counts = `${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped`;
  const seconds = (result.durationMs / second).toFixed(1);
  console.log(`${result.failed > 0 ? "FAIL" : "ok  "} ${result.path}: ${counts}, ${seconds} s`);
  for (const note of result.notes) console.log(`     ${note}`);
  if (result.failed > 0) console.log(`\n${result.output.trimEnd()}\n`);
}

/** Prints the sum and returns the exit code: 0 only when something ran and nothing failed. */
export function summarize(results: readonly FileResult[]): number {
  const sum = (of: (result: FileResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  const failedFiles = results.filter((result) => result.failed > 0);
  const slowest = [...results].sort((a, b) => b.durationMs - a.durationMs).slice(0, 5);
  const passed = sum((result) => result.passed);
  const failed = sum((result) => result.failed);
  const times = slowest.map((file) => `${file.path} ${(file.durationMs / second).toFixed(1)} s`);
  console.log(`\nSlowest: ${times.join(", ")}`);
  console.log(`Skipped: ${sum((result) => result.skipped)}`);
  for (const file of failedFiles) console.log(`Failed: ${file.path}`);
  if (passed + failed === 0) console.log("No test ran: that counts as a failure.");
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

async function buildWhenStale(): Promise<void> {
  if (!isStale(root, binaryPath)) return;
  console.log("Building dist/kura");
  await build();
}

async function main(): Promise<number> {
  const [tier = "fast", part = "", ...rest] = process.argv.slice(2);
  if (!isTier(tier) || rest.length > 0) {
    console.error("Usage: scripts/test.ts fast|ci|long [part of a path]");
    return 64;
  }
  try {
    await buildWhenStale();
  } catch (error) {
    console.error("Cannot build dist/kura, so no spec was run:", error);
    console.log("0 passed, 1 failed");
    return 1;
  }
  const workFolder = fs.mkdtempSync(path.join(os.tmpdir(), "kura-test-"));
  try {
    const files = chooseFiles(path.join(root, "spec"), tier, part);
    const run = (file: SpecFile): Promise<FileResult> =>
      runFile(file, { tier, fileMsMax: fileMsMax[file.tier], workFolder });
    const light = files.filter((file) => !file.isHeavy);
    const heavy = files.filter((file) => file.isHeavy);
    const lightResults = await runFiles(light, filesAtOnceMax, run);
    return summarize([...lightResults, ...(await runFiles(heavy, 1, run))]);
  } finally {
    fs.rmSync(workFolder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      for (const group of runningGroups) killGroup(group);
      console.log(`Stopped by ${signal}.\n0 passed, 1 failed`);
      process.exit(1);
    });
  }
  process.exit(await main());
}
