import { expect, test } from "bun:test";
import { parseSource } from "../../../../scripts/tidy/source.ts";
import {
  checkComments,
  checkMachinePaths,
  commentPercent,
  commentsOf,
  countAssertions,
} from "../../../../scripts/tidy/texts.ts";

const file = "runtime/base/a.ts";

test("unfinished work and a switched off compiler are found in comments only", () => {
  const rules = (text: string) => checkComments(parseSource(file, text)).map(({ rule }) => rule);
  const todo = ["TO", "DO"].join("");
  expect(rules(`// ${todo}: later\n`)).toEqual(["unfinished"]);
  expect(rules(`f(); /* ${["FIX", "ME"].join("")} */`)).toEqual(["unfinished"]);
  expect(rules(`// @ts-${"ignore"}\nf();`)).toEqual(["compilerOff"]);
  expect(rules(`const a = "${todo}"; // todos are values`)).toEqual([]);
});

test("paths of one machine are found in any text, and paths of the system are not", () => {
  const find = (...parts: string[]) => checkMachinePaths("a.md", ["", ...parts].join("/")).length;
  expect(find("home", "me", "kura")).toBe(1);
  expect(find("root", "kura")).toBe(1);
  expect(find("work", "main")).toBe(1);
  expect(find("proc", "self")).toBe(0);
  expect(find("tmp", "kura")).toBe(0);
  expect(checkMachinePaths("a.ts", `"/$bunfs${["", "root", "x"].join("/")}"`)).toEqual([]);
  expect(checkMachinePaths("a.md", `http://host${["", "work", "x"].join("/")}`)).toEqual([]);
});

test("comments are told from texts that look like them", () => {
  const text =
    'const a = "// no"; // yes\n/** Two\n * lines. */\nconst b = `/* no */`; /* yes */\n';
  expect(commentsOf(parseSource(file, text)).map(({ text: comment }) => comment)).toEqual([
    "// yes",
    "/** Two\n * lines. */",
    "/* yes */",
  ]);
});

test("the share of comments counts lines that are not blank", () => {
  expect(commentPercent([parseSource(file, "// one\n\nf();\n\ng();\nh();\n")])).toBe(25);
  expect(commentPercent([])).toBe(0);
});

test("assertions that something is there count, except behind an index", () => {
  expect(countAssertions(parseSource(file, "a!.b; c[i]!.d; e()!;"))).toBe(2);
});
