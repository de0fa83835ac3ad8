import { expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { root } from "../../../scripts/build.ts";
import { parseSource } from "../../../scripts/tidy/source.ts";
import {
  checkSource,
  formatFigures,
  formatFinding,
  readStored,
  tidy,
} from "../../../scripts/tidy.ts";

test("the tree keeps every rule of style and layout, and its figures are not worse", () => {
  const report = tidy(root);
  console.log(formatFigures(report));
  expect(report.findings.map(formatFinding)).toEqual([]);
});

test("a finding names the file, the line, the rule and what to use instead", () => {
  const source = parseSource("runtime/store/a.ts", "\nexport const now = Date.now();\n");
  const [finding] = checkSource(source);
  expect(finding && formatFinding(finding)).toBe(
    "runtime/store/a.ts:2 [time] asks the machine for the time: take a Clock (runtime/base/clock.ts)",
  );
});

test("a tree is checked as a whole: an unreached file, a lost spec, a machine's path and a worse figure", () => {
  const tree = fs.mkdtempSync(path.join(os.tmpdir(), "kura-tidy-spec-"));
  const put = (file: string, text: string) => {
    fs.mkdirSync(path.dirname(path.join(tree, file)), { recursive: true });
    fs.writeFileSync(path.join(tree, file), text);
  };
  try {
    put("runtime/base/dead.ts", "export const a = 1;\n");
    put("spec/unit/runtime/base/gone.spec.ts", "export {};\n");
    put("docs/start.md", `Go to ${["", "home", "me"].join("/")}/kura\n`);
    put("package.json", '{ "dependencies": { "one": "1.0.0" } }');
    const figures = { ...readStored(root), dependencyCount: 0, storeCommentPercent: 0 };
    put("scripts/tidy-ratchet.json", JSON.stringify(figures));

    const rules = tidy(tree).findings.map(({ rule, path: file }) => `${rule} ${file}`);

    // The exceptions name files of the real tree.
    expect(rules.filter((line) => !line.startsWith("exception"))).toEqual([
      "unreached runtime/base/dead.ts",
      "mirror spec/unit/runtime/base/gone.spec.ts",
      "machinePath docs/start.md",
      "ratchet scripts/tidy-ratchet.json",
    ]);
  } finally {
    fs.rmSync(tree, { recursive: true, force: true });
  }
});
