import { expect, test } from "bun:test";
import { checkLayers } from "../../../../scripts/tidy/layers.ts";
import { parseSource } from "../../../../scripts/tidy/source.ts";

function messages(file: string, text: string): string[] {
  return checkLayers(parseSource(file, text)).map(({ message }) => message);
}

test("an import of the same folder or of a lower one is right", () => {
  const text =
    'import { a } from "./b.ts"; import { c } from "../base/c.ts"; export * from "../store/d.ts";';
  expect(messages("runtime/catalog/a.ts", text)).toEqual([]);
  expect(messages("runtime/surface/http/a.ts", 'import { b } from "../admin/b.ts";')).toEqual([]);
});

test("every form of an import upward is found", () => {
  for (const text of [
    'import { a } from "../surface/http/a.ts";',
    'import type { A } from "../surface/http/a.ts";',
    'export { a } from "../surface/http/a.ts";',
    'const a = await import("../surface/http/a.ts");',
    'type A = import("../surface/http/a.ts").A;',
  ]) {
    expect(messages("runtime/store/a.ts", text).join()).toContain("imports upward");
  }
});

test("benchmarks use what specs share, but not the specs", () => {
  expect(messages("scripts/bench/a.ts", 'import { a } from "../../spec/support/a.ts";')).toEqual(
    [],
  );
  expect(messages("scripts/bench/a.ts", 'import { a } from "../../spec/unit/a.ts";')).toHaveLength(
    1,
  );
});

test("folders of level 6 do not import each other", () => {
  const text = 'import { a } from "../auth/a.ts";';
  expect(messages("runtime/mesh/a.ts", text).join()).toContain("imports sideways");
  expect(messages("runtime/auth/b.ts", text)).toEqual([]);
});

test("the runtime imports neither cli nor scripts nor specs", () => {
  for (const target of ["cli/a.ts", "scripts/a.ts", "spec/support/a.ts"]) {
    expect(messages("runtime/server/a.ts", `import { a } from "../../${target}";`)).toHaveLength(1);
  }
});

test("store and catalog import no package, others do", () => {
  const text = 'import { Registry } from "prom-client"; import { Database } from "bun:sqlite";';
  expect(messages("runtime/store/a.ts", text)).toHaveLength(1);
  expect(messages("runtime/catalog/a.ts", text)).toHaveLength(1);
  expect(messages("runtime/observe/a.ts", text)).toEqual([]);
});

test("a file in a folder without a layer is found", () => {
  expect(messages("runtime/misc/a.ts", "")).toHaveLength(1);
  expect(messages("runtime/base/a.ts", 'import { a } from "../misc/a.ts";')).toHaveLength(1);
});

test("messages of a protocol and the program's version may be imported by all", () => {
  const text =
    'import a from "../../proto/a.proto" with { type: "text" }; import b from "../../package.json";';
  expect(messages("runtime/base/a.ts", text)).toEqual([]);
});
