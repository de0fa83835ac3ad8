import { expect, test } from "bun:test";
import type { Terminal } from "../../../../cli/terminal.ts";
import { withProgress } from "../../../../cli/view/progress.ts";

test("a piped run tells its progress in a few lines on stderr and leaves stdout to the report", async () => {
  const printed: string[] = [];
  const complained: string[] = [];
  const terminal: Terminal = {
    env: {},
    isInteractive: false,
    print: (text) => printed.push(text),
    complain: (text) => complained.push(text),
  };
  const report = await withProgress(terminal, "verify", async (tell) => {
    for (let doneBytes = 0; doneBytes <= 1_000; doneBytes++) tell({ doneBytes, totalBytes: 1_000 });
    return "done";
  });
  expect(report).toBe("done");
  expect(printed).toEqual([]);
  expect(complained).toHaveLength(11);
  expect(complained[0]).toBe("verify: 0 % of 1000 bytes");
  expect(complained.at(-1)).toBe("verify: 100 % of 1000 bytes");
});
