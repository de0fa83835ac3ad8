import { describe, expect, test } from "bun:test";
import { bans, checkAllowances, checkBans } from "../../../../scripts/tidy/bans.ts";
import { parseSource } from "../../../../scripts/tidy/source.ts";

function rulesIn(file: string, text: string): string[] {
  return checkBans(parseSource(file, text)).map(({ rule }) => rule);
}

type Case = { bad: readonly string[]; good: readonly string[] };

const store = "runtime/store/a.ts";

/** Banned words, put together so that nobody who searches the project for them finds these cases. */
const [loose, alone, later] = ["any", "only", "todo"];

/** For each rule what it must find in the store, and what looks like it and is right. */
const cases: Record<string, Case> = {
  time: {
    bad: [
      "Date.now()",
      "new Date()",
      "performance.now()",
      "f(Date.now)",
      "globalThis.Date.now()",
      "Bun.nanoseconds()",
    ],
    good: ["new Date(wallMs)", "clock.wallMs()", '"Date.now()"', "// Date.now() jumps"],
  },
  timer: {
    bad: ["setTimeout(run, 1)", "setInterval(run, 1)", "await Bun.sleep(5)"],
    good: ["clock.after(1, run)", "server.timeout(request, 0)", "setImmediate(run)"],
  },
  chance: {
    bad: ["Math.random()", "crypto.getRandomValues(a)", "crypto.randomUUID()"],
    good: ["random.below(3)", "Math.max(1, 2)", "crypto.subtle.digest(a, b)"],
  },
  files: {
    bad: [
      'import fs from "node:fs"',
      'import { open } from "fs/promises"',
      'await import("node:fs")',
      'Bun.write("a", "b")',
      "Bun.mmap(path)",
    ],
    good: ['import path from "node:path"', 'disk.create("a")', 'const name = "node:fs"'],
  },
  fileHandle: {
    bad: ['Bun.file("a")', "const open = Bun.file"],
    good: ["row.file", 'disk.open("a", "read")', 'import type { BunFile } from "bun"'],
  },
  fileSink: {
    bad: ["file.writer()", "Bun.stdout.writer({ highWaterMark: 1 })"],
    good: ["manifest.writer", "file.write(bytes, 0)"],
  },
  foreignCall: {
    bad: ['import { dlopen } from "bun:ffi"', 'await import("bun:ffi")'],
    good: ['import { kernelSend } from "../base/kernel-send.ts"', '"bun:ffi"'],
  },
  lockedFile: {
    bad: [`\`\${dir}/kura.db\``, '"kura.db-wal"', `\`\${dir}/lock/x\``, '"lock.db"'],
    good: ['"block/1"', '"locked"', "// kura.db is opened by bun:sqlite"],
  },
  environment: {
    bad: ["process.env.KURA_PORT", "Bun.env", "f(process.env)"],
    good: ["config.port", "process.pid"],
  },
  print: {
    bad: ['console.log("a")', 'console.error("a")'],
    good: ['log.info("a")', "// console.log"],
  },
  any: {
    bad: [`let a: ${loose}`, `f(x as ${loose})`, `type A = Record<string, ${loose}>`],
    good: ["let a: unknown", "const any = 1", '"any"'],
  },
  only: {
    bad: [`test.${alone}(name, run)`, `describe.${alone}(name, run)`, `test.${later}(name)`],
    good: ["test(name, run)", "options.only", "test.skipIf(x)(name, run)"],
  },
  defaultExport: {
    bad: ["export default 1", "export default function f() {}", "export { a as default }"],
    good: ["export const a = 1", "switch (a) { default: b(); }", 'import a from "node:path"'],
  },
};

test("every ban has cases here", () => {
  expect(Object.keys(cases).sort()).toEqual(bans.map(({ rule }) => rule).sort());
});

for (const [rule, { bad, good }] of Object.entries(cases)) {
  describe(rule, () => {
    for (const text of bad) {
      test(`is found in: ${text}`, () => {
        expect(rulesIn(store, text)).toContain(rule);
      });
    }
    for (const text of good) {
      test(`is not found in: ${text}`, () => {
        expect(rulesIn(store, text)).not.toContain(rule);
      });
    }
  });
}

test("a ban holds only where it is meant", () => {
  const read = `process.env.A; console.log(1); Date.now(); Math.random(); f(x as ${loose});`;
  expect(rulesIn("runtime/config/a.ts", read)).not.toContain("environment");
  expect(rulesIn("runtime/observe/a.ts", read)).not.toContain("print");
  expect(rulesIn("cli/a.ts", read)).not.toContain("print");
  expect(rulesIn("spec/unit/a.spec.ts", read)).toEqual(["any"]);
  expect(rulesIn("runtime/base/clock.ts", "Date.now()")).toEqual([]);
});

test("an exception that excuses nothing is found", () => {
  const [time] = bans;
  const rules = time === undefined ? [] : [time];
  const needed = parseSource("runtime/base/clock.ts", "Date.now()");
  const needless = parseSource("runtime/base/clock.ts", "1");
  expect(checkAllowances([needed], rules)).toEqual([]);
  expect(checkAllowances([needless], rules)).toHaveLength(1);
  expect(checkAllowances([], rules)).toHaveLength(1);
});
