import { describe, expect, test } from "bun:test";
import fs from "node:fs";
import path from "node:path";
import { type Outcome, openHistory, readHistory } from "../support/history.ts";
import { createJudge, type Judge, judgeHistory } from "../support/judge.ts";
import { makeTemporaryFolder } from "../support/node-process.ts";

const blob = "gradle/a/1";
const pointer = "keyvalue/a/1";

describe("the judge accepts", () => {
  test("what was acknowledged, after a crash", () => {
    const judge = createJudge(null);
    put(judge, blob, "one", "acknowledged");
    expect(kinds(crashAndAudit(judge, { [blob]: "one" }))).toEqual([]);
  });

  test("either outcome of a write that the crash cut, but only one of them for ever", () => {
    const judge = createJudge(null);
    put(judge, blob, "one", "unknown");
    expect(kinds(crashAndAudit(judge, { [blob]: null }))).toEqual([]);
    expect(kinds(crashAndAudit(judge, { [blob]: "one" }))).not.toEqual([]);
  });

  test("either order of a clean and a write that ran at the same time", () => {
    for (const value of ["one", null]) {
      const judge = createJudge(null);
      const clean = judge.clean("a");
      put(judge, blob, "one", "acknowledged");
      judge.accept({ at: "outcome", op: clean, outcome: "acknowledged" });
      expect(kinds(crashAndAudit(judge, { [blob]: value }))).toEqual([]);
    }
  });

  test("the first writer of a blob and the last one of a pointer", () => {
    const judge = createJudge(null);
    for (const key of [blob, pointer]) {
      put(judge, key, "one", "acknowledged");
      put(judge, key, "two", "acknowledged");
    }
    expect(kinds(crashAndAudit(judge, { [blob]: "one", [pointer]: "two" }))).toEqual([]);
  });
});

describe("the judge finds", () => {
  test("an acknowledged write that is gone", () => {
    const judge = createJudge(null);
    put(judge, blob, "one", "acknowledged");
    expect(kinds(crashAndAudit(judge, { [blob]: null }))).toEqual(["missing"]);
  });

  test("bytes that nobody wrote", () => {
    const judge = createJudge(null);
    put(judge, blob, "one", "acknowledged");
    expect(kinds(crashAndAudit(judge, { [blob]: "torn" }))).toEqual(["wrongBytes"]);
  });

  test("a refused write that appears", () => {
    const judge = createJudge(null);
    put(judge, blob, "one", "refused");
    expect(kinds(crashAndAudit(judge, { [blob]: "one" }))).toEqual(["refusedAppears"]);
  });

  test("a refused write that somebody had already seen", () => {
    const judge = createJudge(null);
    const op = judge.put(blob, "one");
    read(judge, blob, "one");
    judge.accept({ at: "outcome", op, outcome: "refused" });
    expect(kinds(judge)).toEqual(["refusedAppears"]);
  });

  test("a cleaned key that is back", () => {
    const judge = createJudge(null);
    put(judge, blob, "one", "acknowledged");
    const op = judge.clean("a");
    judge.accept({ at: "outcome", op, outcome: "acknowledged" });
    expect(kinds(crashAndAudit(judge, { [blob]: "one" }))).toEqual(["cleanedIsBack"]);
  });

  test("an older value of a pointer, in the same life and in a later one", () => {
    const judge = createJudge(null);
    put(judge, pointer, "one", "acknowledged");
    put(judge, pointer, "two", "acknowledged");
    read(judge, pointer, "one");
    crashAndAudit(judge, { [pointer]: "two" });
    expect(kinds(crashAndAudit(judge, { [pointer]: "one" }))).toEqual(["older", "older"]);
  });

  test("a blob that a second writer replaced", () => {
    const judge = createJudge(null);
    put(judge, blob, "one", "acknowledged");
    put(judge, blob, "two", "acknowledged");
    expect(kinds(crashAndAudit(judge, { [blob]: "two" }))).toEqual(["overwritten"]);
  });

  test("a write that was read before the crash and is gone after it, although it had no answer", () => {
    const judge = createJudge(null);
    judge.put(blob, "one");
    read(judge, blob, "one");
    expect(kinds(crashAndAudit(judge, { [blob]: null }))).toEqual(["missing"]);
  });

  test("the same in the stored history of a run", () => {
    const folder = makeTemporaryFolder("judge");
    const history = openHistory(path.join(folder, "history.jsonl"));
    const judge = createJudge(history);
    put(judge, blob, "one", "acknowledged");
    crashAndAudit(judge, { [blob]: "one" });
    crashAndAudit(judge, { [blob]: "one" });
    crashAndAudit(judge, { [blob]: null });
    history.flush();
    expect(kinds(judgeHistory(readHistory(history.path)))).toEqual(["missing"]);
    fs.rmSync(folder, { recursive: true });
  });
});

function put(judge: Judge, key: string, value: string, outcome: Outcome): void {
  const op = judge.put(key, value);
  judge.accept({ at: "outcome", op, outcome });
}

function read(judge: Judge, key: string, value: string | null): void {
  const op = judge.get(key);
  judge.accept({ at: "found", op, value });
}

function crashAndAudit(judge: Judge, found: Record<string, string | null>): Judge {
  judge.accept({ at: "crash" });
  for (const [key, value] of Object.entries(found)) judge.accept({ at: "audit", key, value });
  judge.accept({ at: "audited" });
  return judge;
}

function kinds(judge: Judge): string[] {
  return judge.findings.map((finding) => finding.kind);
}
