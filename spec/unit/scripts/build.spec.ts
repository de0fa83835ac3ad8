import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { commitOf, isStale } from "../../../scripts/build.ts";

/** A tree with one source that was saved at 100 s, and a binary of 200 s. */
function makeTree() {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "kura-build-spec-"));
  const source = path.join(root, "runtime", "base", "a.ts");
  const binary = path.join(root, "dist", "kura");
  for (const file of [source, binary]) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, "");
  }
  for (const entry of [source, path.dirname(source), path.join(root, "runtime")]) {
    fs.utimesSync(entry, 100, 100);
  }
  fs.utimesSync(binary, 200, 200);
  const dispose = () => fs.rmSync(root, { recursive: true, force: true });
  return { root, source, binary, [Symbol.dispose]: dispose };
}

test("a binary newer than all its sources is not built again", () => {
  using tree = makeTree();
  expect(isStale(tree.root, tree.binary)).toBe(false);
});

test("a missing binary, a saved source and a removed source make it stale", () => {
  using tree = makeTree();
  expect(isStale(tree.root, path.join(tree.root, "dist", "other"))).toBe(true);
  fs.utimesSync(tree.source, 300, 300);
  expect(isStale(tree.root, tree.binary)).toBe(true);
  fs.rmSync(tree.source);
  expect(isStale(tree.root, tree.binary)).toBe(true);
});

test("the lock file of the packages is a source", () => {
  using tree = makeTree();
  fs.writeFileSync(path.join(tree.root, "package-lock.json"), "{}");
  expect(isStale(tree.root, tree.binary)).toBe(true);
});

test("the commit is unknown without a Git tree and inside of somebody else's", () => {
  using tree = makeTree();
  expect(commitOf(tree.root)).toBe("unknown");
  git(tree.root, "init", "--quiet");
  expect(commitOf(path.join(tree.root, "runtime"))).toBe("unknown");
});

test("the commit is named, and sources that differ from it are admitted", () => {
  using tree = makeTree();
  git(tree.root, "init", "--quiet");
  git(tree.root, "add", "runtime");
  const author = ["-c", "user.name=spec", "-c", "user.email=spec@localhost"];
  git(tree.root, ...author, "commit", "--quiet", "--message", "one");
  expect(commitOf(tree.root)).toMatch(/^[0-9a-f]{12}$/);
  fs.writeFileSync(tree.source, "changed");
  expect(commitOf(tree.root)).toMatch(/^[0-9a-f]{12}\+changes$/);
});

function git(folder: string, ...args: string[]): void {
  const done = spawnSync("git", ["-C", folder, ...args], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`git ${args.join(" ")} failed: ${done.stderr}`);
}
