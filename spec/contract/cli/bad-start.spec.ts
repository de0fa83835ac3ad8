import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import {
  decodeFileHeader,
  encodeFileHeader,
  filePageBytes,
  formatVersion,
} from "../../../runtime/store/format.ts";
import { freePorts, projectFolder, startNode } from "../../support/node-process.ts";
import { complaints, kura, type Run, scratch } from "./run.ts";

/** The start failed as it should: this exit code and one line for people that says these words. */
function expectRefused(run: Run, code: number, ...words: string[]): void {
  expect({ code: run.code, stderr: run.stderr }).toEqual({ code, stderr: run.stderr });
  expect(complaints(run)).toHaveLength(1);
  for (const word of ["kura: ", ...words]) expect(complaints(run)[0]).toContain(word);
}

async function serveIn(dataDir: string, env: Record<string, string> = {}): Promise<Run> {
  return kura(["serve", "--port", "0", "--data-dir", dataDir], { env });
}

describe("a command line that is wrong ends with 64", () => {
  test.each<[string[], string]>([
    [["serve", "--prot", "1"], "unknown option '--prot'"],
    [["serve", "extra"], "too many arguments"],
    [["serve", "--data-dir"], "argument missing"],
    [["sevre"], "unknown command 'sevre'"],
    [["inspect", "artifact", "--producer", "cobol", "--key", "a"], "cobol"],
    [["inspect", "artifact", "--producer", "nx"], "--key"],
    [["clean", "--url", "ftp://x"], "ftp://x"],
    [["clean", "--url", "http://127.0.0.1:1", "--data-dir", "x"], "cannot be used with"],
  ])("%j", async (args, words) => {
    expectRefused(await kura(args), 64, words);
  });
});

describe("a configuration that is wrong ends with 78", () => {
  test.each<[Record<string, string>, string]>([
    [{ KURA_PORT: "70000" }, 'KURA_PORT: "70000" is not allowed; it takes 0'],
    [{ KURA_BIND: "0.0.0.0" }, "KURA_INSECURE_NO_AUTH=1"],
    [{ KURA_AUTH_ENABLED: "true" }, "cannot protect"],
    [{ NODE_TLS_REJECT_UNAUTHORIZED: "0" }, "certificate check"],
    [{ KURA_BIND: "127.1.2.3.4" }, "KURA_BIND"],
  ])("%j", async (env, words) => {
    using made = scratch();
    expectRefused(await kura(["serve", "--data-dir", made.folder], { env }), 78, words);
  });

  test("several problems are told at once, one line each, and nothing is touched", async () => {
    using made = scratch();
    const dataDir = path.join(made.folder, "data");
    const env = { KURA_PORT: "x", KURA_MAX_NX_BYTES: "y", KURA_AUTH_ENABLED: "1" };
    const run = await kura(["serve", "--data-dir", dataDir, "--log-level", "loud"], { env });
    expect(run.code).toBe(78);
    const names = ["KURA_PORT", "KURA_LOG_LEVEL", "KURA_MAX_NX_BYTES", "KURA_AUTH_ENABLED"];
    expect(complaints(run)).toEqual(
      names.map((name) => expect.stringContaining(`kura: ${name}: `)),
    );
    expect(fs.existsSync(dataDir)).toBe(false);
  });
});

test("a misspelt name is told beside the problems", async () => {
  const run = await kura(["serve"], { env: { KURA_PROT: "1", KURA_PORT: "abc" } });
  expect(run.code).toBe(78);
  expect(complaints(run)).toEqual([
    expect.stringContaining('kura: KURA_PORT: "abc"'),
    expect.stringContaining(
      "kura: warning: KURA_PROT is not a setting of Kura; did you mean KURA_PORT?",
    ),
  ]);
});

describe("a data directory that cannot be used ends with 73", () => {
  test("its parent is a file", async () => {
    using made = scratch();
    const file = path.join(made.folder, "file");
    fs.writeFileSync(file, "");
    expectRefused(await serveIn(path.join(file, "data")), 73, file, "ENOTDIR", "KURA_DATA_DIR");
  });

  test("it is a file itself", async () => {
    using made = scratch();
    const file = path.join(made.folder, "file");
    fs.writeFileSync(file, "");
    expectRefused(await serveIn(file), 73, file);
  });

  test("it lies on a file system that takes no files", async () => {
    expectRefused(await serveIn("/proc/kura"), 73, "/proc/kura");
  });
});

test("a port that is in use ends with 69 and leaves the data directory free", async () => {
  using made = scratch();
  using other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("other") });
  const args = ["serve", "--port", String(other.port), "--data-dir", made.folder];
  expectRefused(await kura(args), 69, `127.0.0.1:${other.port}`, "in use", "KURA_PORT");
  await using node = await startNode({ dataDir: made.folder });
  expect(await node.stop()).toBe(0);
});

describe("a data directory that another process uses ends with 1", () => {
  test("and names the writer lock, while the first process goes on", async () => {
    await using node = await startNode();
    expectRefused(await serveIn(node.dataDir), 1, node.dataDir, "writer lock");
    expectRefused(await kura(["inspect", "rebuild", "--data-dir", node.dataDir]), 1, "writer lock");
    expect((await fetch(`${node.url}/ready`)).status).toBe(200);
    expect(fs.existsSync(node.adminSocket)).toBe(true);
  });

  test("also after the directory was copied while it was in use, and the copy is free", async () => {
    using made = scratch();
    await using node = await startNode();
    const copy = path.join(made.folder, "copy");
    fs.mkdirSync(copy);
    // cp complains about the socket, which it cannot copy; the files are what matters.
    spawnSync("cp", ["-r", `${node.dataDir}/.`, copy]);
    expectRefused(await serveIn(node.dataDir), 1, "writer lock");
    await using second = await startNode({ dataDir: copy });
    expect(await second.stop()).toBe(0);
    expectRefused(await serveIn(node.dataDir), 1, "writer lock");
  });

  test("however many start at once, one wins", async () => {
    using made = scratch();
    const ports = await freePorts(4);
    const starts = ports.map((port) =>
      Bun.spawn({
        cmd: ["sh", "-c", 'exec "$0" "$@"', ...serveCommand(port, made.folder)],
        env: { PATH: process.env.PATH ?? "" },
        stdout: "pipe",
        stderr: "pipe",
      }),
    );
    const ended = await Promise.race([
      Promise.all(starts.map((child) => child.exited)),
      threeEnd(starts.map((child) => child.exited)),
    ]);
    const winners = starts.filter((child) => child.exitCode === null);
    for (const child of winners) child.kill("SIGTERM");
    expect(ended).toEqual([1, 1, 1]);
    expect(await winners[0]?.exited).toBe(0);
  });

  test("the lock of a killed process is free at once", async () => {
    using made = scratch();
    const node = await startNode({ dataDir: made.folder });
    await node.kill();
    await using next = await startNode({ dataDir: made.folder });
    expect(await next.stop()).toBe(0);
  });
});

describe("data of a newer Kura ends with 65, and not one byte of it is changed", () => {
  const key = "/api/cache/gradle/a?tenant_id=default";

  /** A data directory with one artifact in it, left in good order. */
  async function makeData(folder: string): Promise<string> {
    const dataDir = path.join(folder, "data");
    await using node = await startNode({ dataDir });
    expect((await fetch(`${node.url}${key}`, { method: "PUT", body: "x" })).status).toBe(201);
    expect(await node.stop()).toBe(0);
    return dataDir;
  }

  /** Contents of what holds data; the lock and SQLite's shared memory hold none. */
  function contents(dataDir: string): Record<string, string> {
    const names = fs.readdirSync(dataDir, { recursive: true, encoding: "utf8" });
    const files = names.filter((name) => /^(kura\.db(-wal)?|(segments|large)\/.*)$/.test(name));
    return Object.fromEntries(
      files.map((name) => [name, fs.readFileSync(path.join(dataDir, name)).toString("base64")]),
    );
  }

  test("an index with a newer schema", async () => {
    using made = scratch();
    const dataDir = await makeData(made.folder);
    using database = new Database(path.join(dataDir, "kura.db"));
    database.exec("PRAGMA user_version = 999; PRAGMA wal_checkpoint(TRUNCATE)");
    database.close();
    const before = contents(dataDir);
    expectRefused(await serveIn(dataDir), 65, "schema 999", "newer Kura");
    expect(contents(dataDir)).toEqual(before);
  });

  test("a segment of a newer format", async () => {
    using made = scratch();
    const dataDir = await makeData(made.folder);
    const folder = path.join(dataDir, "segments");
    const last = path.join(folder, fs.readdirSync(folder).sort().at(-1) ?? "");
    const bytes = fs.readFileSync(last);
    const header = decodeFileHeader(bytes.subarray(0, filePageBytes));
    if (header === null) throw new Error(`${last} has no whole header`);
    bytes.set(encodeFileHeader({ ...header, formatVersion: formatVersion + 1 }));
    fs.writeFileSync(last, bytes);
    const before = contents(dataDir);
    expectRefused(await serveIn(dataDir), 65, `format ${formatVersion + 1}`, "newer Kura");
    expect(contents(dataDir)).toEqual(before);
  });
});

function serveCommand(port: number, dataDir: string): string[] {
  const binary = path.resolve(projectFolder, process.env.KURA_SPEC_BINARY ?? "dist/kura");
  const program = binary.endsWith(".ts") ? [process.execPath, binary] : [binary];
  return [...program, "serve", "--port", String(port), "--data-dir", dataDir];
}

/** Resolves with the exit codes of the first three that end. */
function threeEnd(exits: readonly Promise<number>[]): Promise<number[]> {
  const codes: number[] = [];
  return new Promise((resolve) => {
    for (const exit of exits) {
      exit.then((code) => {
        codes.push(code);
        if (codes.length === 3) resolve(codes);
      });
    }
  });
}
