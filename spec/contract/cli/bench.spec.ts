import { afterAll, beforeAll, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type NodeProcess, projectFolder, startNode, until } from "../../support/node-process.ts";
import { complaints, kura, scratch } from "./run.ts";

type Row = {
  size: string;
  operation: string;
  answersPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  p999Ms: number;
  serverCpuUs: number | null;
  rssPeakBytes: number | null;
  errors: Record<string, number>;
};

type Report = {
  server: { url: string; isOwn: boolean; pids: number[] };
  isWhole: boolean;
  summary: Row[];
  rounds: { bodiesCompared: number; bodiesDifferent: number; seconds: number }[];
  warnings: string[];
};

let node: NodeProcess;

beforeAll(async () => {
  node = await startNode();
});

afterAll(async () => {
  await node[Symbol.asyncDispose]();
});

const quick = ["--sizes", "1KiB", "--requests", "200", "--keys", "20", "--concurrency", "4"];

async function bench(args: readonly string[]): Promise<Report> {
  const run = await kura(["bench", "http", ...args]);
  expect({
    code: run.code,
    complaints: complaints(run).filter((line) => line.startsWith("kura:")),
  }).toEqual({ code: 0, complaints: [] });
  return JSON.parse(run.stdout) as Report;
}

/** A server that answers whatever we like. */
function serve(answer: (request: Request) => Response | Promise<Response>) {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  return {
    url: `http://127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

test.each([
  [["--sizes", "1XB"], "--sizes"],
  [["--mix", "get=90;put=10"], "--mix"],
  [["--duration", "10"], "--duration"],
  [["--order", "random"], "--order"],
  [["--url", "https://127.0.0.1:1"], "--url"],
  [["--url", "http://127.0.0.1:1/path"], "--path-template"],
  [["--path-template", "/no-key"], "--path-template"],
  [["--header", "Content-Length: 1"], "--header"],
  [["--server-pid", "1"], "--url"],
  [["--requests", "5", "--duration", "1s"], "--requests"],
  [["--set", "PATH=x"], "--set"],
])("%j is a wrong command line: 64 and a line that names %s", async (args, named) => {
  const run = await kura(["bench", "http", ...args]);
  expect([run.code, run.stdout]).toEqual([64, ""]);
  expect(complaints(run)).toEqual([expect.stringContaining(named)]);
});

test("the help of bench has examples", async () => {
  for (const command of [["bench"], ["bench", "http"]]) {
    const run = await kura([...command, "--help"]);
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/Examples?:\n {2}kura bench http/);
  }
});

test("a server that is not there is 69 with its address", async () => {
  const run = await kura(["bench", "http", "--url", "http://127.0.0.1:1", ...quick]);
  expect(run.code).toBe(69);
  expect(complaints(run).at(-1)).toBe("kura: Cannot load http://127.0.0.1:1: nobody listens there");
});

test("a running node is found by its port and measured, every body compared", async () => {
  const mixes = ["--mix", "get=2,head=1,miss=1", "--mix", "put"];
  const report = await bench([
    "--url",
    node.url,
    "--rounds",
    "2",
    "--verify",
    "all",
    ...mixes,
    ...quick,
  ]);
  expect(report.server).toEqual({ url: node.url, isOwn: false, pids: [node.pid] });
  expect(report.isWhole).toBe(true);
  expect(report.summary.map(({ operation }) => operation)).toEqual(["get", "head", "miss", "put"]);
  for (const row of report.summary) {
    expect(row).toMatchObject({ size: "1 KiB", errors: {} });
    expect(row.answersPerSecond).toBeGreaterThan(0);
    expect(row.p50Ms).toBeGreaterThan(0);
    expect(row.p99Ms).toBeGreaterThanOrEqual(row.p50Ms);
    expect(row.p999Ms).toBeGreaterThanOrEqual(row.p99Ms);
    expect(row.rssPeakBytes).toBeGreaterThan(1e7);
    expect(row.serverCpuUs).toBeGreaterThanOrEqual(0);
  }
  expect(report.rounds).toHaveLength(4);
  expect(report.rounds[0]?.bodiesCompared).toBeGreaterThan(50);
  expect(report.rounds.map(({ bodiesDifferent }) => bodiesDifferent)).toEqual([0, 0, 0, 0]);
});

test("a running node is found through its data directory too", async () => {
  const report = await bench([
    "--url",
    node.url,
    "--data-dir",
    node.dataDir,
    "--mix",
    "put",
    ...quick,
  ]);
  expect(report.server.pids).toEqual([node.pid]);
});

test.each(["nx", "metro", "xcode", "bazel", "ccache", "turborepo"])(
  "the routes of %s are loaded without an error",
  async (tool) => {
    const sizes = [
      "--sizes",
      "100,300KiB",
      "--requests",
      "30",
      "--keys",
      "5",
      "--concurrency",
      "3",
    ];
    const report = await bench([
      "--url",
      node.url,
      "--surface",
      tool,
      "--mix",
      "get,put",
      ...sizes,
    ]);
    expect(report.summary.map(({ errors }) => errors)).toEqual([{}, {}, {}, {}]);
    expect(report.rounds.map(({ bodiesDifferent }) => bodiesDifferent)).toEqual([0, 0]);
  },
);

test("without a URL a node of its own is started, loaded for the wished time, and removed", async () => {
  using temporary = scratch();
  const env = { TMPDIR: temporary.folder, KURA_PORT: "1", KURA_DATA_DIR: "/dev/null" };
  const args = [
    "--sizes",
    "64KiB",
    "--duration",
    "300ms",
    "--warm-up",
    "50ms",
    "--mix",
    "get=9,put=1",
  ];
  const run = await kura(["bench", "http", ...args], { env });
  expect(run.code).toBe(0);
  const report = JSON.parse(run.stdout) as Report;
  expect(report.server.isOwn).toBe(true);
  expect(report.rounds[0]?.seconds).toBeGreaterThanOrEqual(0.3);
  expect(report.summary.map(({ errors }) => errors)).toEqual([{}, {}]);
  expect(fs.existsSync(`/proc/${report.server.pids[0]}`)).toBe(false);
  expect(fs.readdirSync(temporary.folder)).toEqual([]);
});

test("a node that cannot start says why, with 69", async () => {
  const run = await kura(["bench", "http", "--set", "KURA_CAS_CAPACITY_BYTES=x"]);
  expect(run.code).toBe(69);
  expect(complaints(run).join("\n")).toContain("KURA_CAS_CAPACITY_BYTES");
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)(
  "%s ends the node, removes its data and shows what was measured",
  async (name, code) => {
    using temporary = scratch();
    const binary = path.resolve(projectFolder, process.env.KURA_SPEC_BINARY ?? "dist/kura");
    const program = binary.endsWith(".ts") ? [process.execPath, binary] : [binary];
    const args = ["--sizes", "1KiB", "--duration", "300ms", "--warm-up", "0s", "--rounds", "100"];
    const child = Bun.spawn([...program, "bench", "http", ...args, "--mix", "put"], {
      env: { PATH: process.env.PATH ?? "", HOME: os.homedir(), TMPDIR: temporary.folder },
      stdin: "ignore",
      stdout: "pipe",
      stderr: Bun.file(path.join(temporary.folder, "stderr.txt")),
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    const said = (): string => fs.readFileSync(path.join(temporary.folder, "stderr.txt"), "utf8");
    await until("the third measurement runs", () => said().includes("bench: 3 of"));
    child.kill(name);
    const report = JSON.parse(await new Response(child.stdout).text()) as Report;
    expect(await child.exited).toBe(code);
    expect(report.isWhole).toBe(false);
    expect(report.rounds.length).toBeGreaterThanOrEqual(2);
    expect(fs.existsSync(`/proc/${report.server.pids[0]}`)).toBe(false);
    expect(fs.readdirSync(temporary.folder)).toEqual(["stderr.txt"]);
  },
);

test("a body that is not what was written is counted and ends with 74", async () => {
  const bodies = new Map<string, Buffer>();
  await using server = serve(async (request) => {
    if (request.method === "PUT") {
      bodies.set(request.url, Buffer.from(await request.arrayBuffer()));
      return new Response(null, { status: 201 });
    }
    const body = Buffer.from(bodies.get(request.url) ?? "");
    body[700] = (body[700] ?? 0) ^ 1;
    return new Response(body);
  });
  const run = await kura(["bench", "http", "--url", server.url, "--mix", "get", ...quick]);
  expect(run.code).toBe(74);
  const report = JSON.parse(run.stdout) as Report;
  expect(report.rounds[0]).toMatchObject({ bodiesCompared: 20, bodiesDifferent: 20 });
  expect(complaints(run).at(-1)).toContain("20 of 20 compared bodies");
});

test("failed requests are counted by status and warned about; a server that refuses all is an error", async () => {
  let asked = 0;
  await using flaky = serve(async (request) => {
    await request.arrayBuffer();
    asked += 1;
    return new Response(null, { status: asked % 4 === 0 ? 503 : 201 });
  });
  const report = await bench(["--url", flaky.url, "--mix", "put", "--warm-up", "0s", ...quick]);
  expect(report.summary[0]?.errors).toEqual({ "503": 50 });
  expect(report.warnings.join()).toContain("50 x 503");

  await using closed = serve(() => new Response("who are you?", { status: 401 }));
  const run = await kura(["bench", "http", "--url", closed.url, ...quick]);
  expect(run.code).toBe(77);
  expect(complaints(run).at(-1)).toContain("401 who are you?");
});

test("chunked answers, closed connections and missing lengths are read as well as others", async () => {
  const bodies = new Map<string, Uint8Array<ArrayBuffer>>();
  let asked = 0;
  await using server = serve(async (request) => {
    if (request.method === "PUT") {
      bodies.set(request.url, new Uint8Array(await request.arrayBuffer()));
      return new Response(null, { status: 201, headers: { connection: "close" } });
    }
    const body = bodies.get(request.url) ?? new Uint8Array();
    asked += 1;
    if (asked % 2 === 0) return new Response(body);
    const halves = [body.subarray(0, 100), body.subarray(100)];
    return new Response(
      new ReadableStream({
        pull(controller) {
          const half = halves.shift();
          if (half === undefined) controller.close();
          else controller.enqueue(half);
        },
      }),
    );
  });
  const args = ["--url", server.url, "--mix", "get,put", "--verify", "all", ...quick];
  const report = await bench(args);
  expect(report.summary.map(({ errors }) => errors)).toEqual([{}, {}]);
  expect(report.rounds[0]?.bodiesDifferent).toBe(0);
  expect(report.rounds[0]?.bodiesCompared).toBeGreaterThan(50);
});
