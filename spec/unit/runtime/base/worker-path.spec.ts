import { afterAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { minute } from "../../../../runtime/base/units.ts";
import { root } from "../../../../scripts/build.ts";

/** A small tree with our helper, a Worker that answers, and an entry that asks it. */
const tree = fs.mkdtempSync(path.join(os.tmpdir(), "kura-worker-spec-"));
afterAll(() => fs.rmSync(tree, { recursive: true, force: true }));

function put(file: string, text: string): void {
  fs.mkdirSync(path.dirname(path.join(tree, file)), { recursive: true });
  fs.writeFileSync(path.join(tree, file), text);
}

const helper = "runtime/base/worker-path.ts";
put(helper, fs.readFileSync(path.join(root, helper), "utf8"));
put("runtime/store/worker.ts", 'self.onmessage = ({ data }) => postMessage(data + " pong");');
put(
  "cli/main.ts",
  `import { workerPath } from "../runtime/base/worker-path.ts";
   const worker = new Worker(workerPath("runtime/store/worker.ts"));
   worker.onerror = ({ message }) => { console.log(message); process.exit(1); };
   worker.onmessage = ({ data }) => { console.log(data); process.exit(0); };
   worker.postMessage("ping");`,
);
// In the working folder of the program lies another file of that name, which must not be taken.
put("elsewhere/runtime/store/worker.ts", 'postMessage("wrong file")');
put("elsewhere/runtime/store/worker.js", 'postMessage("wrong file")');

function run(command: string, ...args: string[]): string {
  const cwd = path.join(tree, "elsewhere");
  const done = spawnSync(command, args, { cwd, encoding: "utf8" });
  return `${done.stdout}${done.stderr}`.trim();
}

test("a Worker starts from source, whatever the working folder", () => {
  expect(run(process.execPath, path.join(tree, "cli", "main.ts"))).toBe("ping pong");
});

test(
  "a Worker starts in the compiled binary, whatever the working folder",
  async () => {
    const outfile = path.join(tree, "dist", "kura");
    const result = await Bun.build({
      entrypoints: [path.join(tree, "cli/main.ts"), path.join(tree, "runtime/store/worker.ts")],
      root: tree,
      compile: { outfile },
      target: "bun",
      format: "esm",
      bytecode: true,
      minify: true,
    });
    expect(result.success).toBe(true);
    expect(run(outfile)).toBe("ping pong");
  },
  minute,
);
