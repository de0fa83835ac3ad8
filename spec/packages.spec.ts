import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { packageChecks } from "../cli/packages.ts";
import { minute } from "../runtime/base/units.ts";
import { binaryPath, build, isStale, root } from "../scripts/build.ts";

type BuildReport = {
  readonly version: string;
  readonly bun: string;
  readonly packages: readonly { readonly name: string; readonly at: string }[];
};

/** Holds nothing but the binary, so that nothing can be found next to it. */
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kura-packages-spec-"));
const binary = path.join(folder, "bin", "kura");
const elsewhere = path.join(folder, "elsewhere");

beforeAll(async () => {
  if (isStale(root, binaryPath)) await build();
  fs.mkdirSync(path.dirname(binary));
  fs.mkdirSync(elsewhere);
  fs.copyFileSync(binaryPath, binary);
}, 2 * minute);

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

function kura(...args: string[]) {
  const env = { HOME: elsewhere, PATH: "/usr/bin:/bin" };
  return spawnSync(binary, args, { cwd: elsewhere, env, encoding: "utf8" });
}

test("every package works in a binary that stands alone", () => {
  const done = kura("inspect", "build", "--json");
  expect(done.stderr).toBe("");
  const report: BuildReport = JSON.parse(done.stdout);
  expect(report.packages).toEqual(packageChecks.map(({ name }) => ({ name, at: "ok" })));
  expect(report.bun).toBe(Bun.version);
  expect(done.status).toBe(0);
});

test("the binary knows its version", () => {
  const { version } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  expect(kura("--version").stdout).toContain(version);
});

test("no path of the build machine is in the binary", () => {
  expect(fs.readFileSync(binary).includes(`${root}/`)).toBe(false);
});

test("the list of checks covers every package that ships", () => {
  const { dependencies } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  const checked = packageChecks.map(({ name }) => name);
  // React is exercised by ink, the metadata polyfill by x509.
  const inOthers = ["react", "reflect-metadata"];
  expect([...checked, ...inOthers].sort()).toEqual(
    [...Object.keys(dependencies), "bun:sqlite"].sort(),
  );
});
