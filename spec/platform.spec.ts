/**
 * What Kura relies on in Bun, SQLite and the kernel, or guards against, as measured on Bun 1.4.5. When one of these
 * fails after an upgrade, the code that names it is wrong now; when a hazard is gone, its guard may go too.
 */
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { crc32 } from "../runtime/base/digest.ts";
import { realDisk } from "../runtime/base/real-disk.ts";
import { root } from "../scripts/build.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "kura-platform-spec-"));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

let fileNumber = 0;
function freshPath(): string {
  return path.join(folder, `file-${fileNumber++}`);
}

test("Bun is the version that package.json names", () => {
  const packageJson = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  expect(Bun.version).toBe(packageJson.devDependencies.bun);
});

describe("a file that may not grow, as on a full disk", () => {
  const limitBytes = 262_144;
  const wantedBytes = 409_600;

  /** Runs a program whose files may grow to `limitBytes`; it prints one JSON value. */
  function runLimited(body: string): unknown {
    if (Bun.which("prlimit") === null) {
      throw new Error(
        "Cannot limit the size of files: prlimit is not on the PATH (Debian: apt-get install util-linux)",
      );
    }
    const program = `
      import fs from "node:fs";
      const target = ${JSON.stringify(freshPath())};
      const bytes = new Uint8Array(${wantedBytes});
      const attempt = (run) => { try { return run(); } catch (error) { return error.code; } };
      ${body}`;
    const command = [`--fsize=${limitBytes}`, process.execPath, "-e", program];
    const done = spawnSync("prlimit", command, { cwd: root, encoding: "utf8" });
    if (done.status !== 0) throw new Error(`The limited program failed: ${done.stderr}`);
    return JSON.parse(done.stdout);
  }

  test("a write returns a short count and no error, and only the next one raises", () => {
    const program = `
      const fd = fs.openSync(target, "w");
      const first = attempt(() => fs.writeSync(fd, bytes));
      console.log(JSON.stringify([first, attempt(() => fs.writeSync(fd, bytes))]));`;
    expect(runLimited(program)).toEqual([limitBytes, "EFBIG"]);
  });

  test("a gathered and an asynchronous write are short without an error, too", () => {
    const program = `
      const gathered = fs.writevSync(fs.openSync(target, "w"), [bytes]);
      const other = await fs.promises.open(target + "-2", "w");
      console.log(JSON.stringify([gathered, (await other.write(bytes)).bytesWritten]));`;
    expect(runLimited(program)).toEqual([limitBytes, limitBytes]);
  });

  test("our disk writes all or throws, in both forms", () => {
    const program = `
      const { realDisk } = await import(${JSON.stringify(path.join(root, "runtime/base/real-disk.ts"))});
      const now = attempt(() => realDisk.create(target).write(bytes, 0));
      const later = await realDisk.create(target + "-2").writeLater(bytes, 0).catch((error) => error.code);
      console.log(JSON.stringify([now, later]));`;
    expect(runLimited(program)).toEqual(["full", "full"]);
  });

  test("a whole-file write raises and leaves a part behind", () => {
    const program = `
      const code = attempt(() => fs.writeFileSync(target, bytes));
      console.log(JSON.stringify([code, fs.statSync(target).size]));`;
    expect(runLimited(program)).toEqual(["EFBIG", limitBytes]);
  });
});

describe("the lock of a data directory", () => {
  /** A process that holds an exclusive transaction on the file, does `then`, and stays. */
  async function hold(file: string, then: string): Promise<ChildProcess> {
    const program = `
      import fs from "node:fs";
      const database = new (await import("bun:sqlite")).Database(${JSON.stringify(file)});
      database.exec("BEGIN EXCLUSIVE");
      ${then}
      console.log("held");
      setInterval(() => database, 1e6);`;
    const child = spawn(process.execPath, ["-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve, reject) => {
      child.stdout?.once("data", resolve);
      child.once("exit", () => reject(new Error("The holder of the lock ended early")));
    });
    return child;
  }

  async function kill(child: ChildProcess): Promise<void> {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  function takeLock(file: string): string {
    using database = new Database(file);
    try {
      database.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
      return "taken";
    } catch (error) {
      return (error as { code: string }).code;
    }
  }

  test("an exclusive transaction keeps other processes out and falls with a kill -9", async () => {
    const file = freshPath();
    const holder = await hold(file, "");
    try {
      expect(takeLock(file)).toBe("SQLITE_BUSY");
    } finally {
      await kill(holder);
    }
    expect(takeLock(file)).toBe("taken");
  });

  test("any other open and close of the file in the same process frees it", async () => {
    const file = freshPath();
    const holder = await hold(file, `fs.closeSync(fs.openSync(${JSON.stringify(file)}, "r"));`);
    try {
      expect(takeLock(file)).toBe("taken");
    } finally {
      await kill(holder);
    }
  });
});

describe("files", () => {
  test("a folder can be synced", () => {
    realDisk.syncFolder(folder);
    const fd = fs.openSync(folder, "r");
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  });

  test("the file system tells its size and what is free", () => {
    const [total, free] = [realDisk.totalBytes(folder), realDisk.freeBytes(folder)];
    expect(total).toBeGreaterThan(0);
    expect(free).toBeGreaterThan(0);
    expect(free).toBeLessThanOrEqual(total);
  });

  test("CRC-32 continues from a seed", () => {
    const bytes = new TextEncoder().encode("123456789");
    expect(crc32(bytes)).toBe(0xcbf43926);
    expect(crc32(bytes.subarray(4), crc32(bytes.subarray(0, 4)))).toBe(0xcbf43926);
  });
});

describe("Unix sockets", () => {
  function listen(file: string): Promise<string> {
    const server = net.createServer();
    return new Promise((resolve) => {
      server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
      server.listen(file, () => server.close(() => resolve("listening")));
    });
  }

  test("the socket of a killed process stays and is in use for the next one", async () => {
    const file = freshPath();
    const program = `require("node:net").createServer().listen(${JSON.stringify(file)}, () => process.kill(process.pid, "SIGKILL"));`;
    spawnSync(process.execPath, ["-e", program]);
    expect(fs.existsSync(file)).toBe(true);
    expect(await listen(file)).toBe("EADDRINUSE");
    fs.unlinkSync(file);
    expect(await listen(file)).toBe("listening");
  });

  // The kernel takes 107 bytes. Bun goes through /proc/self/fd/<folder>, so that only the name has to fit.
  test("a socket deep in the tree can be served and asked, but other programs need a shorter path", async () => {
    const deep = path.join(folder, "d".repeat(120));
    fs.mkdirSync(deep);
    const unix = path.join(deep, "admin.sock");
    const server = Bun.serve({ unix, fetch: () => new Response("answered") });
    try {
      expect(await (await fetch("http://localhost/", { unix })).text()).toBe("answered");
    } finally {
      await server.stop(true);
    }
  });

  test("a socket with a name of more than 107 bytes is refused", async () => {
    expect(await listen(path.join(folder, "s".repeat(108)))).toBe("EINVAL");
  });
});
