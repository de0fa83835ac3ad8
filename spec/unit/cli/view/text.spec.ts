import { expect, test } from "bun:test";
import type { Terminal } from "../../../../cli/terminal.ts";
import { renderFacts, renderTable, show } from "../../../../cli/view/text.ts";

function terminal(isInteractive: boolean) {
  const printed: string[] = [];
  const made: Terminal = {
    env: {},
    isInteractive,
    print: (text) => printed.push(text),
    complain() {},
  };
  return { made, printed };
}

test("facts stand in two columns, nested names are joined, sizes are rounded beside the exact count", () => {
  const text = renderFacts({
    state: { at: "serving" },
    usedBytes: 3_145_728,
    peers: [],
    tag: null,
  });
  expect(text.split("\n")).toEqual([
    "state.at   serving",
    "usedBytes  3145728 (3.0 MiB)",
    "peers      none",
    "tag        -",
  ]);
});

test("rows stand under their names, numbers to the right", () => {
  const rows = [
    { file: 1, state: "sealed" },
    { file: 12, state: "active" },
  ];
  expect(renderTable(rows).split("\n")).toEqual(["file  state", "   1  sealed", "  12  active"]);
  expect(renderTable([])).toBe("none");
});

test("a person gets text, a pipe and --json get JSON", () => {
  const person = terminal(true);
  show(person.made, { a: 1 }, {});
  show(person.made, { a: 1 }, { json: true });
  expect(person.printed).toEqual(["a  1", '{\n  "a": 1\n}']);
  const pipe = terminal(false);
  show(pipe.made, [{ a: 1 }], {});
  expect(JSON.parse(pipe.printed[0] ?? "")).toEqual([{ a: 1 }]);
});
