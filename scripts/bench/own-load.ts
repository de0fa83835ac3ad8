import fs from "node:fs";
import path from "node:path";
import { type CellResult, median, rounded } from "../../cli/bench/figures.ts";
import { projectFolder, startNode } from "../../spec/support/node-process.ts";
import { type Disturbance, type Figure, figure, watchMachine } from "./machine.ts";
import { startNginx } from "./nginx.ts";
import { pinLoad, pinServer } from "./pin.ts";

/** Long enough for thousands of small requests; large bodies get as many as fit. */
const cellArguments = ["--duration", "3s", "--warm-up", "500ms"];
export const ownLoadSizes = "1KiB,64KiB,1MiB,64MiB";

/** One operation on one size, Kura beside nginx. */
export type OwnLoadRow = {
  readonly sizeBytes: number;
  readonly operation: "get" | "put";
  readonly kura: OwnLoadSide;
  readonly nginx: OwnLoadSide;
  /** CPU per request: median of Kura over median of nginx. */
  readonly ratio: number;
};

export type OwnLoadSide = {
  readonly cpuUsPerAnswer: Figure;
  readonly answersPerSecond: Figure;
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
  readonly p999Ms: Figure;
  /** The most of all rounds; of nginx the master and its worker together. */
  readonly rssPeakBytes: number;
  /** Of one core: near 100 % the requests a second are those of the load. */
  readonly generatorCpuPercent: number;
};

export type OwnLoadResult = Disturbance & {
  readonly command: string;
  readonly rows: readonly OwnLoadRow[];
  readonly warnings: readonly string[];
};

type Report = { readonly rounds: readonly CellResult[]; readonly warnings: readonly string[] };

/**
 * The same load by `kura bench http` on Kura and on nginx in turns: finer latencies than wrk tells, and memory. Its
 * requests finish, so that 64 MiB bodies are counted whole.
 */
export async function measureOwnLoad(options: {
  binary: string;
  rounds: number;
  sizes: string;
}): Promise<OwnLoadResult> {
  await using node = await startNode({ binary: options.binary, launcher: pinServer() });
  await using nginx = await startNginx();
  const machine = watchMachine();
  const shared = ["bench", "http", "--json", "--surface", "nx", "--sizes", options.sizes];
  const args = [...shared, ...cellArguments];
  const kura: Report[] = [];
  const peer: Report[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    kura.push(await runBench(options.binary, [...args, "--url", node.url]));
    peer.push(await runBench(options.binary, [...args, "--url", `http://127.0.0.1:${nginx.port}`]));
    fs.rmSync(path.join(nginx.root, "v1"), { recursive: true, force: true });
  }
  return {
    command: `kura ${args.join(" ")} --url URL`,
    rows: rowsOf(kura, peer),
    warnings: [...new Set([...kura, ...peer].flatMap(({ warnings }) => warnings))],
    ...machine(),
  };
}

async function runBench(binary: string, args: readonly string[]): Promise<Report> {
  const program = path.resolve(projectFolder, binary);
  const child = Bun.spawn([...pinLoad(), program, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code === 0) return JSON.parse(stdout) as Report;
  throw new Error(`${binary} ${args.join(" ")} ended with ${code} and said:\n${stderr}`);
}

function rowsOf(kura: readonly Report[], nginx: readonly Report[]): OwnLoadRow[] {
  return (kura[0]?.rounds ?? []).map(({ sizeBytes, mix }): OwnLoadRow => {
    const [kuraSide, nginxSide] = [kura, nginx].map((reports) => sideOf(reports, sizeBytes, mix));
    if (kuraSide === undefined || nginxSide === undefined) throw new Error("there are two sides");
    const ratio = kuraSide.cpuUsPerAnswer.median / nginxSide.cpuUsPerAnswer.median;
    const operation = mix === "put" ? "put" : "get";
    return { sizeBytes, operation, kura: kuraSide, nginx: nginxSide, ratio: rounded(ratio) };
  });
}

function sideOf(reports: readonly Report[], sizeBytes: number, mix: string): OwnLoadSide {
  const cells = reports.flatMap(({ rounds }) =>
    rounds.filter((cell) => cell.sizeBytes === sizeBytes && cell.mix === mix),
  );
  const answers = cells.flatMap(({ operations }) => operations);
  const servers = cells.flatMap(({ server }) => server ?? []);
  return {
    cpuUsPerAnswer: figure(servers.map((server) => server.cpuUsPerOperation)),
    answersPerSecond: figure(answers.map((one) => one.answersPerSecond)),
    p50Ms: figure(answers.flatMap(({ p50Ms }) => p50Ms ?? [])),
    p99Ms: figure(answers.flatMap(({ p99Ms }) => p99Ms ?? [])),
    p999Ms: figure(answers.flatMap(({ p999Ms }) => p999Ms ?? [])),
    rssPeakBytes: Math.max(...servers.map((server) => server.rssPeakBytes)),
    generatorCpuPercent: rounded(median(cells.map((cell) => cell.generatorCpuPercent)) ?? 0),
  };
}
