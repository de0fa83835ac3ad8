import { afterAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { lockDirectory } from "../../../../runtime/store/lock.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kura-lock-"));
fs.mkdirSync(path.join(folder, "lock"));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** Takes the lock in another process; prints the fault's code, or "taken". */
function lockElsewhere(uid: number): string {
  const script = `
    process.setgid(${uid}); process.setuid(${uid});
    const { lockDirectory } = await import(${JSON.stringify(path.resolve("runtime/store/lock.ts"))});
    try { lockDirectory(${JSON.stringify(folder)}); console.log("taken"); }
    catch (error) { console.log(error.code); }
    process.kill(process.pid, "SIGKILL");`;
  const run = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
  return run.stdout.trim();
}

test("a directory is locked for one process at a time, and free when that one was killed", () => {
  expect(lockElsewhere(0)).toBe("taken");
  const lock = lockDirectory(folder);
  expect(lockElsewhere(0)).toBe("locked");
  lock.release();
  expect(lockElsewhere(0)).toBe("taken");
});

test("a lock file that this user may not write is no lock at all, and is refused", () => {
  const file = path.join(folder, "lock", "lock.db");
  lockDirectory(folder).release();
  const database = fs.openSync(file, "r+");
  fs.closeSync(database);
  fs.chmodSync(file, 0o444);
  fs.chmodSync(folder, 0o777);
  fs.chmodSync(path.join(folder, "lock"), 0o777);
  if (process.getuid?.() !== 0) throw new Error("this spec changes the user: run it as root");
  expect(["dataDirectory", ""]).toContain(lockElsewhere(65_534));
  expect(lockElsewhere(65_534)).not.toBe("taken");
});
