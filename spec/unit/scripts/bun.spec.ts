import { expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { root } from "../../../scripts/build.ts";

const starter = path.join(root, "scripts", "bun.mjs");

test("the starter runs the pinned Bun and hands back its exit code", () => {
  const done = spawnSync("node", [starter, "-e", "console.log(Bun.version); process.exit(7)"], {
    encoding: "utf8",
  });
  expect(done.stdout.trim()).toBe(Bun.version);
  expect(done.status).toBe(7);
});

test("a signal to the starter reaches the program", async () => {
  const text =
    'process.on("SIGTERM", () => process.exit(9)); console.log("up"); setInterval(() => {}, 1e6);';
  const child = spawn("node", [starter, "-e", text], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  child.kill("SIGTERM");
  expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(9);
});

test("the binary of the platform package is taken when the install script never ran", () => {
  using tree = makeTree();
  const cpu = process.arch === "arm64" ? "aarch64" : process.arch;
  tree.place(`node_modules/@oven/bun-${process.platform}-${cpu}/bin/bun`, process.execPath);
  expect(tree.start("--version")).toEqual({ status: 0, text: Bun.version });
});

test("without any Bun the starter says what to run", () => {
  using tree = makeTree();
  const { status, text } = tree.start("--version");
  expect(status).toBe(1);
  expect(text).toContain("npm ci");
});

/** A project folder with the starter and the stub that npm leaves when it runs no install scripts. */
function makeTree() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kura-bun-spec-"));
  const place = (file: string, from: string) => {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.copyFileSync(from, path.join(folder, file));
  };
  place("scripts/bun.mjs", starter);
  fs.mkdirSync(path.join(folder, "node_modules", "bun", "bin"), { recursive: true });
  fs.writeFileSync(path.join(folder, "node_modules", "bun", "bin", "bun.exe"), "a stub");
  return {
    place,
    start(...args: string[]) {
      const script = path.join(folder, "scripts", "bun.mjs");
      const done = spawnSync("node", [script, ...args], { encoding: "utf8" });
      return { status: done.status, text: `${done.stdout}${done.stderr}`.trim() };
    },
    [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}
