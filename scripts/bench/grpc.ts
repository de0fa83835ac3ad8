import path from "node:path";
import { type CellResult, rounded } from "../../cli/bench/figures.ts";
import { minute } from "../../runtime/base/units.ts";
import { projectFolder, startNode } from "../../spec/support/node-process.ts";
import { findBazelRemote, startBazelRemote } from "./bazel-remote.ts";
import { measureGrpcSyncs, type SyncCounts } from "./grpc-syncs.ts";
import { type Disturbance, type Figure, figure, watchMachine } from "./machine.ts";
import { pinLoad, pinServer } from "./pin.ts";

export const grpcSides = ["Kura", "Kura with grpc-js", "bazel-remote"] as const;
export type GrpcSide = (typeof grpcSides)[number];

/** One operation on one size, by server; a server that is not there has no figures. */
export type GrpcRow = {
  readonly operation: string;
  readonly sizeBytes: number;
  /** Of the data of a message of a write; null for other calls. */
  readonly pieceBytes: number | null;
  readonly connections: number;
  readonly callsPerConnection: number;
  readonly sides: Readonly<Partial<Record<GrpcSide, GrpcSideFigures>>>;
};

export type GrpcSideFigures = {
  readonly cpuUsPerCall: Figure;
  readonly callsPerSecond: Figure;
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
  readonly rssPeakBytes: number;
};

export type GrpcResult = Disturbance & {
  readonly commands: readonly string[];
  readonly rows: readonly GrpcRow[];
  readonly sides: readonly GrpcSide[];
  readonly syncs: Readonly<Partial<Record<GrpcSide, SyncCounts>>>;
  readonly warnings: readonly string[];
};

type Report = {
  readonly rounds: readonly CellResult[];
  readonly warnings: readonly string[];
};

type Server = { readonly side: GrpcSide; readonly port: number; readonly pid: number };

/** Long enough for thousands of small calls; large blobs get as many as fit. */
const cellArguments = ["--duration", "2s", "--warm-up", "1s"];
/** Bazel cuts what it writes into messages of 16 KiB, other clients into larger ones. @source Bazel, Chunker.java. */
const largePiece = { bytes: 64 * 1_024, text: "64KiB" };
const bazelPiece = { bytes: 16 * 1_024, text: "16KiB" };
const runMsMax = 20 * minute;

/** What `kura bench grpc` is asked for: all of it with large messages, then the writes as Bazel sends them. */
const plans = [
  { piece: largePiece, operations: null },
  { piece: bazelPiece, operations: "Write" },
] as const;

/**
 * CPU time of a call for each server, in turns (A B C A B C ...) in the same minutes on the same core. The first turn
 * is not counted: it fills caches, and it is what the compilers of a runtime work on.
 */
export async function measureGrpc(options: {
  binary: string;
  rounds: number;
}): Promise<GrpcResult> {
  const { binary, rounds } = options;
  const program = findBazelRemote();
  const syncs = await measureGrpcSyncs({ binary, program });
  await using own = await startNode({
    binary,
    launcher: pinServer(),
    env: { KURA_GRPC_ENGINE: "kura" },
  });
  await using js = await startNode({
    binary,
    launcher: pinServer(),
    env: { KURA_GRPC_ENGINE: "grpc-js" },
  });
  await using peer = program === null ? null : await startBazelRemote(program);
  const servers: Server[] = [
    { side: "Kura", port: own.grpcPort, pid: own.pid },
    { side: "Kura with grpc-js", port: js.grpcPort, pid: js.pid },
  ];
  if (peer !== null) servers.push({ side: "bazel-remote", port: peer.grpcPort, pid: peer.pid });

  const machine = watchMachine();
  const taken: Taken[] = [];
  const warnings = new Set<string>();
  for (let round = 0; round <= rounds; round++) {
    for (const plan of plans) {
      for (const server of servers) {
        const report = await runBench(binary, argumentsOf(plan, server));
        for (const warning of report.warnings) warnings.add(`${server.side}: ${warning}`);
        if (round === 0) continue;
        const pieceBytes = plan.piece.bytes;
        taken.push(...report.rounds.map((cell) => ({ cell, pieceBytes, side: server.side })));
      }
    }
  }
  return {
    commands: plans.map((plan) => `kura ${argumentsOf(plan, null).join(" ")}`),
    rows: rowsOf(taken),
    sides: servers.map(({ side }) => side),
    syncs,
    warnings: [...warnings],
    ...machine(),
  };
}

function argumentsOf(
  { piece, operations }: (typeof plans)[number],
  server: Server | null,
): string[] {
  const wanted = operations === null ? [] : ["--operations", operations];
  const where =
    server === null
      ? ["--url", "URL"]
      : ["--url", `grpc://127.0.0.1:${server.port}`, "--server-pid", String(server.pid)];
  return ["bench", "grpc", ...wanted, "--piece", piece.text, ...cellArguments, "--json", ...where];
}

async function runBench(binary: string, args: readonly string[]): Promise<Report> {
  const program = path.resolve(projectFolder, binary);
  const child = Bun.spawn([...pinLoad(), program, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: runMsMax,
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code === 0) return JSON.parse(stdout) as Report;
  throw new Error(`${binary} ${args.join(" ")} ended with ${code} and said:\n${stderr}`);
}

type Taken = { readonly side: GrpcSide; readonly pieceBytes: number; readonly cell: CellResult };

function rowsOf(taken: readonly Taken[]): GrpcRow[] {
  const nameOf = ({ cell, pieceBytes }: Taken): string =>
    `${cell.mix} ${cell.sizeBytes} ${cell.mix === "Write" ? pieceBytes : ""}`;
  return [...Map.groupBy(taken, nameOf).values()].flatMap((rows) => {
    const [first] = rows;
    if (first === undefined) return [];
    const { mix, sizeBytes, connections, callsPerConnection } = first.cell;
    const pieceBytes = mix === "Write" ? first.pieceBytes : null;
    const sides = Object.fromEntries(
      [...Map.groupBy(rows, ({ side }) => side)].map(([side, ofSide]) => [
        side,
        figuresOf(ofSide.map(({ cell }) => cell)),
      ]),
    );
    return [{ operation: mix, sizeBytes, pieceBytes, connections, callsPerConnection, sides }];
  });
}

function figuresOf(cells: readonly CellResult[]): GrpcSideFigures {
  const answers = cells.flatMap(({ operations }) => operations);
  const servers = cells.flatMap(({ server }) => server ?? []);
  return {
    cpuUsPerCall: figure(servers.map((server) => server.cpuUsPerOperation)),
    callsPerSecond: figure(answers.map((one) => one.answersPerSecond)),
    p50Ms: figure(answers.flatMap(({ p50Ms }) => p50Ms ?? [])),
    p99Ms: figure(answers.flatMap(({ p99Ms }) => p99Ms ?? [])),
    rssPeakBytes: Math.max(...servers.map((server) => server.rssPeakBytes)),
  };
}

/** CPU of Kura over that of the peer; null without one. */
export function ratioOf({ sides }: GrpcRow, side: GrpcSide): number | null {
  const own = sides[side]?.cpuUsPerCall.median;
  const peer = sides["bazel-remote"]?.cpuUsPerCall.median;
  return own === undefined || peer === undefined ? null : rounded(own / peer);
}
