import { afterAll, beforeAll, expect, test } from "bun:test";
import fs from "node:fs";
import grpc from "@grpc/grpc-js";
import { type NodeProcess, startNode } from "../../support/node-process.ts";
import { complaints, kura, scratch } from "./run.ts";

type Row = {
  size: string;
  operation: string;
  answersPerSecond: number;
  serverCpuUs: number | null;
  errors: Record<string, number>;
};
type Report = {
  server: { url: string; isOwn: boolean; pids: number[] };
  summary: Row[];
  rounds: { bodiesCompared: number; bodiesDifferent: number; callsPerConnection: number }[];
};

const engines = ["kura", "grpc-js"] as const;
const nodes = new Map<string, NodeProcess>();

beforeAll(async () => {
  for (const engine of engines) {
    nodes.set(engine, await startNode({ env: { KURA_GRPC_ENGINE: engine } }));
  }
});

afterAll(async () => {
  for (const node of nodes.values()) await node[Symbol.asyncDispose]();
});

const quick = ["--requests", "120", "--keys", "12", "--concurrency", "8", "--connections", "2"];

test.each([
  [["--operations", "Execute"], "--operations"],
  [["--sizes", "16"], "--sizes"],
  [["--operations", "BatchReadBlobs", "--sizes", "1KiB"], "--sizes"],
  [["--piece", "5MiB"], "--piece"],
  [["--url", "grpcs://127.0.0.1:1"], "--url"],
  [["--url", "grpc://127.0.0.1:1/path"], "--url"],
  [["--server-pid", "1"], "--url"],
])("%j is a wrong command line: 64 and a line that names %s", async (args, named) => {
  const run = await kura(["bench", "grpc", ...args]);
  expect([run.code, run.stdout]).toEqual([64, ""]);
  expect(complaints(run)).toEqual([expect.stringContaining(named)]);
});

test("the help has examples", async () => {
  const run = await kura(["bench", "grpc", "--help"]);
  expect(run.code).toBe(0);
  expect(run.stdout).toMatch(/Examples?:\n {2}kura bench grpc/);
});

test("a server that is not there is 69 with its address", async () => {
  const run = await kura(["bench", "grpc", "--url", "grpc://127.0.0.1:1", ...quick]);
  expect(run.code).toBe(69);
  expect(complaints(run).at(-1)).toBe("kura: Cannot load grpc://127.0.0.1:1: nobody listens there");
});

test("a server that speaks no HTTP/2 is 69", async () => {
  const node = nodes.get("kura");
  const run = await kura(["bench", "grpc", "--url", node?.url ?? "", ...quick]);
  expect(run.code).toBe(69);
  expect(complaints(run).at(-1)).toMatch(/its answers are not gRPC|closes every connection/);
});

test.each(engines)(
  "every call of a running node with the engine %s is answered right, every answer compared",
  async (engine) => {
    const node = nodes.get(engine);
    if (node === undefined) throw new Error("there is a node for each engine");
    const args = ["--url", node.grpcUrl, "--sizes", "100,300KiB", "--piece", "10000"];
    const run = await kura(["bench", "grpc", ...args, "--verify", "all", ...quick]);
    expect([run.code, complaints(run).filter((line) => line.startsWith("kura:"))]).toEqual([0, []]);
    const report = JSON.parse(run.stdout) as Report;
    expect(report.server).toMatchObject({ url: node.grpcUrl, isOwn: false, pids: [node.pid] });
    expect(report.summary.map(({ operation, errors }) => [operation, errors])).toEqual([
      ["GetActionResult", {}],
      ["FindMissingBlobs", {}],
      ["BatchReadBlobs", {}],
      ["BatchUpdateBlobs", {}],
      ["UpdateActionResult", {}],
      ["Read", {}],
      ["Read", {}],
      ["Write", {}],
      ["Write", {}],
    ]);
    expect(report.rounds).toHaveLength(9);
    for (const round of report.rounds) {
      expect(round.bodiesDifferent).toBe(0);
      expect(round.bodiesCompared).toBeGreaterThanOrEqual(120);
      expect(round.callsPerConnection).toBe(4);
    }
  },
);

test("without a URL a node of its own is started with the settings that were wished, and removed", async () => {
  using temporary = scratch();
  const args = ["--operations", "Read", "--sizes", "64KiB", "--duration", "200ms"];
  const settings = ["--warm-up", "50ms", "--set", "KURA_GRPC_ENGINE=grpc-js"];
  const env = { TMPDIR: temporary.folder, KURA_GRPC_PORT: "1" };
  const run = await kura(["bench", "grpc", ...args, ...settings], { env });
  expect(run.code).toBe(0);
  const report = JSON.parse(run.stdout) as Report;
  expect(report.server.isOwn).toBe(true);
  expect(report.summary).toMatchObject([{ size: "64 KiB", operation: "Read", errors: {} }]);
  expect(report.summary[0]?.serverCpuUs).toBeGreaterThanOrEqual(0);
  expect(fs.existsSync(`/proc/${report.server.pids[0]}`)).toBe(false);
  expect(fs.readdirSync(temporary.folder)).toEqual([]);
});

type Answer = Buffer | { readonly code: grpc.status; readonly details: string };

/** A server that answers searches and single writes as we like. */
async function serve(search: () => Answer, update: () => Answer) {
  const server = new grpc.Server();
  const asIs = (bytes: Buffer): Buffer => bytes;
  const service = "/build.bazel.remote.execution.v2.ContentAddressableStorage";
  for (const [name, answer] of [
    ["FindMissingBlobs", search],
    ["BatchUpdateBlobs", update],
  ] as const) {
    const path = `${service}/${name}`;
    const forms = {
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    };
    const definition = { path, requestStream: false, responseStream: false, ...forms };
    const handle: grpc.handleUnaryCall<Buffer, Buffer> = (_, done) => {
      const made = answer();
      if (Buffer.isBuffer(made)) done(null, made);
      else done(made);
    };
    server.addService({ [path]: definition }, { [path]: handle });
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    url: `grpc://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}

/** One item whose digest is left out and whose status is OK. */
const updated = Buffer.from([0x0a, 0x00]);
const search = ["--operations", "FindMissingBlobs"];

test("an answer that is not what was asked for is counted and ends with 74", async () => {
  // One digest is missing, says the server.
  await using server = await serve(
    () => Buffer.from([0x12, 0x00]),
    () => updated,
  );
  const run = await kura(["bench", "grpc", "--url", server.url, ...search, ...quick]);
  expect(run.code).toBe(74);
  const report = JSON.parse(run.stdout) as Report;
  expect(report.rounds[0]?.bodiesDifferent).toBeGreaterThanOrEqual(120);
});

test("a write whose item failed within a call that did not is no fill", async () => {
  // Response { status { code: 13 } }.
  const failed = Buffer.from([0x0a, 0x04, 0x12, 0x02, 0x08, 0x0d]);
  await using server = await serve(
    () => Buffer.alloc(0),
    () => failed,
  );
  const run = await kura(["bench", "grpc", "--url", server.url, ...search, ...quick]);
  expect(run.code).toBe(69);
  expect(complaints(run).at(-1)).toContain("100 of 100 calls of BatchUpdateBlobs");
});

test("calls that fail are counted by the names of their statuses; a server that refuses all is an error", async () => {
  let asked = 0;
  await using flaky = await serve(
    () => (++asked % 4 === 0 ? { code: 14, details: "later" } : Buffer.alloc(0)),
    () => updated,
  );
  const warm = ["--warm-up", "0s"];
  const run = await kura(["bench", "grpc", "--url", flaky.url, ...search, ...warm, ...quick]);
  expect(run.code).toBe(0);
  const report = JSON.parse(run.stdout) as Report;
  expect(report.summary[0]?.errors).toEqual({ UNAVAILABLE: 30 });

  await using closed = await serve(
    () => Buffer.alloc(0),
    () => ({ code: 16, details: "who are you?" }),
  );
  const refused = await kura(["bench", "grpc", "--url", closed.url, ...search, ...quick]);
  expect(refused.code).toBe(77);
  expect(complaints(refused).at(-1)).toContain("status 16 who are you?");
});
