import { expect, test } from "bun:test";
import { parseSource } from "../../../../scripts/tidy/source.ts";
import { checkMirrors, checkReachable } from "../../../../scripts/tidy/tree.ts";

function tree(files: Record<string, string>) {
  return Object.entries(files).map(([file, text]) => parseSource(file, text));
}

test("a file of the runtime that only a spec or another dead file imports is found", () => {
  const found = checkReachable(
    tree({
      "cli/main.ts": 'await import("../runtime/server/serve.ts");',
      "runtime/server/serve.ts":
        'import type { A } from "../base/type.ts"; workerPath("runtime/store/w.ts");',
      "runtime/base/type.ts": "export type A = 1;",
      "runtime/store/w.ts": 'import { b } from "../base/used.ts";',
      "runtime/base/used.ts": "",
      "runtime/base/files.d.ts": "",
      "runtime/base/dead.ts": 'import { c } from "./dead-too.ts";',
      "runtime/base/dead-too.ts": "",
      "spec/unit/runtime/base/dead.spec.ts": 'import "../../../../runtime/base/dead.ts";',
    }),
  );
  expect(found.map(({ path }) => path)).toEqual([
    "runtime/base/dead.ts",
    "runtime/base/dead-too.ts",
  ]);
});

test("a unit spec has the path of the file or folder it is about", () => {
  const found = checkMirrors([
    "runtime/base/clock.ts",
    "cli/view/list.tsx",
    "scripts/bun.mjs",
    "spec/unit/runtime/base/clock.spec.ts",
    "spec/unit/runtime/base/clock.jumps.ci.spec.ts",
    "spec/unit/cli/view/list.spec.tsx",
    "spec/unit/cli/view.spec.ts",
    "spec/unit/scripts/bun.spec.ts",
    "spec/unit/runtime/base/gone.spec.ts",
    "spec/platform.spec.ts",
  ]);
  expect(found.map(({ path }) => path)).toEqual(["spec/unit/runtime/base/gone.spec.ts"]);
});
