import { expect, test } from "bun:test";
import {
  checkSizes,
  fileLinesMax,
  functionLinesMax,
  functionsOf,
} from "../../../../scripts/tidy/sizes.ts";
import { parseSource } from "../../../../scripts/tidy/source.ts";

function rulesIn(file: string, text: string): string[] {
  return checkSizes(parseSource(file, text)).map(({ rule }) => rule);
}

test("a file may have as many lines as the limit and not one more", () => {
  expect(rulesIn("runtime/base/a.ts", "1;\n".repeat(fileLinesMax))).toEqual([]);
  expect(rulesIn("runtime/base/a.ts", "1;\n".repeat(fileLinesMax + 1))).toEqual(["fileSize"]);
  expect(rulesIn("spec/unit/a.spec.ts", "1;\n".repeat(fileLinesMax + 1))).toEqual([]);
});

test("functions, methods and closures may have as many lines as the limit and not one more", () => {
  const body = (lines: number) => `{\n${"1;\n".repeat(lines - 2)}}`;
  for (const form of ["function f() BODY", "class A { f() BODY }", "const f = () => BODY;"]) {
    const right = form.replace("BODY", body(functionLinesMax));
    const wrong = form.replace("BODY", body(functionLinesMax + 1));
    expect(rulesIn("cli/a.ts", right)).toEqual([]);
    expect(rulesIn("cli/a.ts", wrong)).toEqual(["functionSize"]);
  }
});

test("a function is measured from its first word, without the comment above it", () => {
  const source = parseSource("cli/a.ts", "/** One.\n * Two. */\nfunction f() {\n}\n");
  expect(functionsOf(source)).toEqual([{ name: "f", line: 3, lines: 2 }]);
});
