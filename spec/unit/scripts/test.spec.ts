import { afterAll, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { systemClock } from "../../../runtime/base/clock.ts";
import { second } from "../../../runtime/base/units.ts";
import { countsOfReport } from "../../../scripts/test/count.ts";
import { chooseFiles, runFile, summarize, tierOf } from "../../../scripts/test.ts";
import { scaled } from "../../support/tier.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kura-runner-spec-"));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** Runs a spec with this text the way the runner does. */
function runText(name: string, text: string, fileMsMax = 20 * second) {
  const file = path.join(folder, name);
  fs.writeFileSync(file, `import { expect, test, afterAll } from "bun:test";\n${text}`);
  const options = { tier: "fast", fileMsMax, workFolder: folder } as const;
  return runFile({ path: file, tier: "fast", isHeavy: false, isSlow: false }, options);
}

test("passed, failed and skipped tests are counted, and the output tells what failed", async () => {
  const result = await runText(
    "mixed.spec.ts",
    `test("a & b", () => {}); test.${"skip"}("later", () => {}); test("odd", () => expect(1).toBe(2));`,
  );
  expect([result.passed, result.failed, result.skipped]).toEqual([1, 1, 1]);
  expect(result.output).toContain("Expected: 2");
});

test("a file that hangs is killed with what it started, and counts as a failure", async () => {
  const pidPath = path.join(folder, "grandchild.pid");
  const result = await runText(
    "hanging.spec.ts",
    `test("hangs", async () => {
       const child = Bun.spawn(["tail", "-f", "/dev/null"]);
       await Bun.write(${JSON.stringify(pidPath)}, String(child.pid));
       await new Promise(() => {});
     });`,
    2 * second,
  );
  expect(result.failed).toBe(1);
  expect(result.notes.join()).toContain("still running after 2 s");
  expect(await isGone(Number(fs.readFileSync(pidPath, "utf8")))).toBe(true);
});

/** A killed process may stay as a zombie until its new parent asks for it. */
async function isGone(pid: number): Promise<boolean> {
  const deadlineMs = systemClock.monotonicMs() + 5 * second;
  const statusPath = `/proc/${pid}/status`;
  while (fs.existsSync(statusPath) && !/State:\s+Z/.test(fs.readFileSync(statusPath, "utf8"))) {
    if (systemClock.monotonicMs() > deadlineMs) return false;
    await Bun.sleep(10);
  }
  return true;
}

test("a file that crashes keeps its passed tests and counts one failure", async () => {
  const text = 'test("one", () => {}); test("dies", () => process.kill(process.pid, "SIGKILL"));';
  const result = await runText("crashing.spec.ts", text);
  expect([result.passed, result.failed]).toEqual([1, 1]);
  expect(result.notes.join()).toContain("SIGKILL");
});

test("an error outside of any test counts as a failure", async () => {
  const result = await runText("broken.spec.ts", 'test("one", () => {}); throw new Error("late");');
  expect(result.failed).toBeGreaterThan(0);
});

test("a file that leaves early with exit code 0 counts as a failure", async () => {
  const text = 'test("one", () => {}); test("two", () => process.exit(0)); test("3", () => {});';
  expect((await runText("leaving.spec.ts", text)).failed).toBe(1);
});

test("a file without a test counts as a failure", async () => {
  expect((await runText("empty.spec.ts", "")).failed).toBe(1);
});

test("the sum is green only when something passed and nothing failed", () => {
  const file = { path: "x", output: "", notes: [], durationMs: 1, skipped: 0 };
  expect(summarize([{ ...file, passed: 3, failed: 0 }])).toBe(0);
  expect(summarize([{ ...file, passed: 3, failed: 1 }])).toBe(1);
  expect(summarize([])).toBe(1);
});

test("the ending of a file is its tier, and ci takes the fast files too", () => {
  const specs = path.join(folder, "tree");
  fs.mkdirSync(specs);
  for (const name of ["a.spec.ts", "b.ci.spec.ts", "c.long.spec.ts", "platform.spec.ts", "d.ts"]) {
    fs.writeFileSync(path.join(specs, name), name.startsWith("b") ? "// heavy: all cores" : "");
  }
  const names = (files: { path: string }[]) => files.map((file) => path.basename(file.path));
  expect(tierOf("x.ci.spec.tsx")).toBe("ci");
  expect(names(chooseFiles(specs, "fast", ""))).toEqual(["platform.spec.ts", "a.spec.ts"]);
  expect(names(chooseFiles(specs, "ci", "b.ci"))).toEqual(["b.ci.spec.ts"]);
  expect(names(chooseFiles(specs, "long", ""))).toEqual(["c.long.spec.ts"]);
  expect(chooseFiles(specs, "ci", "").filter((file) => file.isHeavy)).toHaveLength(1);
});

test("slow files are the first to begin, but for the canary", () => {
  const specs = path.join(folder, "slow");
  fs.mkdirSync(specs);
  for (const name of ["a", "b", "platform"]) {
    const firstLine = name === "b" ? "// slow: five minutes" : "";
    fs.writeFileSync(path.join(specs, `${name}.spec.ts`), firstLine);
  }
  const names = chooseFiles(specs, "fast", "").map((file) => path.basename(file.path, ".spec.ts"));
  expect(names).toEqual(["platform", "b", "a"]);
});

test("totals are read from the first element of the report alone", () => {
  const report =
    '<?xml version="1.0"?><testsuites name="bun test" tests="5" failures="1" skipped="2">' +
    '<testsuite name="x" tests="9" failures="9" skipped="0"></testsuite></testsuites>';
  expect(countsOfReport(report)).toEqual({ passed: 2, failed: 1, skipped: 2 });
  expect(countsOfReport("<html>")).toBeNull();
});

test("repetitions shrink by tier and never reach 0", () => {
  expect([scaled(1_000, "long"), scaled(1_000, "ci"), scaled(1_000, "fast")]).toEqual([
    1000, 100, 10,
  ]);
  expect(scaled(5, "fast")).toBe(1);
});
