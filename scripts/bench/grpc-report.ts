import { KiB, MiB } from "../../runtime/base/units.ts";
import { callGoalUs, peerRatioMax } from "./goals.ts";
import { type GrpcResult, type GrpcRow, type GrpcSide, grpcSides, ratioOf } from "./grpc.ts";
import type { SyncCounts } from "./grpc-syncs.ts";
import type { Disturbance, Figure, Machine } from "./machine.ts";

/** The note that is kept: docs/bench/<date>-grpc.md. */
export function renderGrpcNote(
  head: { date: string; command: string; machine: Machine },
  result: GrpcResult,
): string {
  const { date, command, machine } = head;
  return `# Figures of ${date}: gRPC

${machine.cores} cores (${machine.model}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Bun ${machine.bun}; ${disturbance(result)}.
Command: \`${command}\`, which runs
${result.commands.map((line) => `- \`${line}\``).join("\n")}

Servers ran on core 0, the load on core 1, in turns (${result.sides.join(", ")}, ${result.sides[0]}, ...); the first turn
of each is not counted. CPU is user + system time of the server's process from /proc/PID/stat until it was quiet again,
divided by the good answers. Values are medians of the rounds; lowest and highest in brackets. A result names 10 outputs,
all of them looked up; a search asks for 100 digests, all present; batches have one blob of 1 KiB; "4x8" are 4
connections with 8 calls in flight on each. Windows of the load are 1 MiB, as in Bazel's library.
On a shared machine calls a second and latencies move with the neighbours, CPU time of a call by about a quarter and, when
the load average is above the number of cores, by more: the ratios are of the same minutes.
${absence(result)}
${durability(result)}
${judged(result)}
${losses(result)}
${table(result)}
${result.warnings.map((warning) => `- ${warning}\n`).join("")}`;
}

function absence({ sides }: GrpcResult): string {
  if (sides.includes("bazel-remote")) return "";
  return "\nThere was no bazel-remote (KURA_BENCH_BAZEL_REMOTE, or on PATH), so nothing is compared with it.\n";
}

function durability({ syncs }: GrpcResult): string {
  const lines = Object.entries(syncs).map(([side, counts]) => `- ${side}: ${inWords(counts)}`);
  return `## Durability, as strace sees it

${lines.join("\n")}

An answer of Kura to a write means that the bytes and the entry that finds them are synced; writes that come together share
a sync. bazel-remote syncs each file, then renames it without a sync of its folder.
`;
}

function inWords({ writes, fdatasyncs, fsyncs, folderSyncs }: SyncCounts): string {
  return `${writes} BatchUpdateBlobs: ${fdatasyncs} fdatasync and ${fsyncs} fsync on files, ${folderSyncs} syncs of folders`;
}

function judged({ rows }: GrpcResult): string {
  const lines = rows.map((each) => {
    const own = each.sides.Kura?.cpuUsPerCall.median ?? null;
    return row(
      nameOf(each),
      ...grpcSides.map((side) => String(each.sides[side]?.cpuUsPerCall.median ?? "-")),
      judgeRatio(each, "Kura"),
      String(ratioOf(each, "Kura with grpc-js") ?? "-"),
      judgeGoal(own, callGoalUs(each.operation, each.sizeBytes)),
    );
  });
  return `## CPU us of a call

| call | ${grpcSides.join(" | ")} | Kura / bazel-remote | grpc-js / bazel-remote | goal |
| --- | --- | --- | --- | --- | --- | --- |
${lines.join("\n")}
`;
}

function judgeRatio(each: GrpcRow, side: GrpcSide): string {
  const ratio = ratioOf(each, side);
  if (ratio === null) return "-";
  return isWithin(each.operation, ratio) ? String(ratio) : `${ratio} **over**`;
}

function isWithin(operation: string, ratio: number): boolean {
  const most = peerRatioMax(operation);
  return most.isBelow ? ratio < most.ratio : ratio <= most.ratio;
}

function judgeGoal(us: number | null, goalUs: number | null): string {
  if (goalUs === null || us === null) return "none";
  if (us <= goalUs) return `<= ${goalUs}: hit`;
  return `<= ${goalUs}: **miss by ${Math.round(100 * (us / goalUs - 1))} %**`;
}

/** What keeps the issue open, in one place. */
function losses({ rows, sides }: GrpcResult): string {
  if (!sides.includes("bazel-remote")) return "";
  const lost = rows.flatMap((each) => {
    const ratio = ratioOf(each, "Kura");
    return ratio === null || isWithin(each.operation, ratio)
      ? []
      : [`- ${nameOf(each)}: ${ratio} times the CPU time of bazel-remote`];
  });
  const what =
    "at least the CPU time of bazel-remote on a unary call, or more than 1.1 times on a stream";
  return `## Where we lose (${what})

${lost.length === 0 ? "Nowhere." : lost.join("\n")}
`;
}

function table({ rows }: GrpcResult): string {
  const lines = rows.flatMap((each) =>
    grpcSides.flatMap((side) => {
      const figures = each.sides[side];
      if (figures === undefined) return [];
      const { connections, callsPerConnection } = each;
      return [
        row(
          nameOf(each),
          `${connections}x${callsPerConnection}`,
          side,
          show(figures.cpuUsPerCall),
          show(figures.callsPerSecond),
          show(figures.p50Ms),
          show(figures.p99Ms),
          String(Math.round(figures.rssPeakBytes / MiB)),
        ),
      ];
    }),
  );
  return `## All figures

| call | calls | server | CPU us per call | calls/s | p50 ms | p99 ms | RSS peak MiB |
| --- | --- | --- | --- | --- | --- | --- | --- |
${lines.join("\n")}
`;
}

function nameOf({ operation, sizeBytes, pieceBytes }: GrpcRow): string {
  const isStream = operation === "Read" || operation === "Write";
  const name = isStream ? `ByteStream.${operation} ${size(sizeBytes)}` : operation;
  return pieceBytes === null ? name : `${name} in messages of ${size(pieceBytes)}`;
}

function disturbance({ stealPercent, loadBefore }: Disturbance): string {
  return `steal ${stealPercent} %, load average before it ${loadBefore}`;
}

function row(...cells: string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function show({ median, min, max }: Figure): string {
  return `${median} (${min}-${max})`;
}

function size(bytes: number): string {
  return bytes >= MiB ? `${bytes / MiB} MiB` : `${bytes / KiB} KiB`;
}
