import { KiB, MiB } from "../../runtime/base/units.ts";
import type { GetResult } from "./get.ts";
import { judgeRatio, ratioGoal } from "./goals.ts";
import type { Disturbance, Figure, Machine } from "./machine.ts";
import type { OwnLoadResult, OwnLoadRow } from "./own-load.ts";
import type { PutResult } from "./put.ts";
import type { SideFigures } from "./side.ts";
import type { ReadyResult } from "./starts.ts";
import type { SyncResult } from "./syncs.ts";

/** Everything that was measured; what was not asked for is absent. */
export type Results = {
  readonly date: string;
  readonly command: string;
  readonly machine: Machine;
  readonly stealPercent: number;
  /** Load average of the minute before the run: what else the machine was doing. */
  readonly loadBefore: number;
  readonly listeningMs?: Figure;
  readonly versionMs?: Figure;
  readonly ready?: ReadyResult;
  readonly syncs?: SyncResult;
  readonly puts?: readonly PutResult[];
  readonly gets?: readonly GetResult[];
  readonly ownLoad?: OwnLoadResult;
};

/** The note that is kept: docs/bench/<date>.md. */
export function renderNote(results: Results): string {
  const { machine } = results;
  return `# Figures of ${results.date}

${machine.cores} cores (${machine.model}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Bun ${machine.bun}. Steal over the whole run: ${results.stealPercent} %; load average before it: ${results.loadBefore}.
Command: \`${results.command}\`

Servers ran on core 0, the load (wrk) on core 1. CPU is user + system time of the server's processes from
/proc/PID/stat until they were quiet again, divided by the answers. Values are medians; lowest and highest in brackets.
On a shared machine requests a second and latencies move with the neighbours; CPU per request moves by about a quarter.
Durability: an answer of Kura to a PUT means that the bytes are synced (fdatasync); nginx writes a file, renames it and
answers without a sync. The rounds go Kura, nginx, Kura, nginx. With a load average over about 0.5 before the run the times of starts are those of a busy machine: repeat it.

${[starts(results), overview(results), puts(results), gets(results), ownLoad(results)].filter((text) => text !== "").join("\n")}`;
}

function starts({ listeningMs, versionMs, ready, syncs }: Results): string {
  const rows: string[] = [];
  if (listeningMs)
    rows.push(row("listening, empty directory", `${show(listeningMs)} ms`, "<= 150 ms"));
  if (versionMs) rows.push(row("`kura --version`", `${show(versionMs)} ms`, "<= 50 ms"));
  if (ready) {
    const what = `ready after kill -9 with ${ready.artifacts} artifacts`;
    rows.push(
      row(what, `${show(ready.readyMs)} ms, ${ready.missing} of the sample missing`, "<= 500 ms"),
    );
  }
  if (syncs) {
    const groups = `${syncs.groups} groups, mean ${syncs.meanGroup}`;
    const calls = `${syncs.segmentSyncs} fdatasync on segments, ${syncs.otherSyncs} other syncs`;
    rows.push(
      row(`${syncs.writes} PUTs under strace`, `${groups}; ${calls}`, "one fdatasync a group"),
    );
  }
  if (rows.length === 0) return "";
  return `| what | measured | goal |\n| --- | --- | --- |\n${rows.join("\n")}\n`;
}

/** What the goals are about, in one place. */
function overview({ puts = [], gets = [] }: Results): string {
  const line = (operation: "get" | "put", bodyBytes: number, ratio: number, at: Disturbance) =>
    row(
      `${operation.toUpperCase()} ${size(bodyBytes)}`,
      `${ratio}`,
      judgeRatio(ratio, ratioGoal(operation, bodyBytes)),
      `${at.stealPercent} %`,
      `${at.loadBefore}`,
    );
  const rows = [
    ...gets.map((result) => line("get", result.size.bodyBytes, result.ratio, result)),
    ...puts.map((result) => line("put", result.bodyBytes, result.ratio, result)),
  ];
  if (rows.length === 0) return "";
  return `| CPU per request | Kura / nginx | judged | steal | load before |
| --- | --- | --- | --- | --- |
${rows.join("\n")}
`;
}

function puts({ puts: results }: Results): string {
  const parts = (results ?? []).map((result) => {
    const { bodyBytes, connections, requests, ratio } = result;
    const title = `PUT ${size(bodyBytes)}, ${connections} connections, ${requests} requests a run`;
    const goal = judgeRatio(ratio, ratioGoal("put", bodyBytes));
    // Bodies beyond the journal are synced one by one; only their references share a group.
    const group = `mean group **${result.meanGroup}**${bodyBytes === KiB ? " (goal >= 8)" : ""}`;
    const facts = `CPU ratio **${ratio}** (${goal}), ${group}, ${disturbance(result)}.`;
    return `## ${title}\n\n${facts}\nKura: every answer is durable. nginx: WebDAV, no sync.\n\n${table(result.kura, result.nginx)}`;
  });
  return parts.join("\n");
}

function gets({ gets: results }: Results): string {
  const parts = (results ?? []).map((result) => {
    const { bodyBytes, connections, keys, requests } = result.size;
    const title = `GET ${size(bodyBytes)}, ${connections} connections, ${keys} keys, ${requests} requests a run`;
    const goal = judgeRatio(result.ratio, ratioGoal("get", bodyBytes));
    const facts = `CPU ratio **${result.ratio}** (${goal}), ${disturbance(result)}.`;
    return `## ${title}\n\n${facts}\n\n${table(result.kura, result.nginx)}`;
  });
  return parts.join("\n");
}

function ownLoad({ ownLoad: result }: Results): string {
  if (result === undefined) return "";
  const warnings = result.warnings.map((warning) => `- ${warning}\n`).join("");
  return `## kura bench http

The same servers under \`${result.command}\`, in turns; ${disturbance(result)}.
${warnings === "" ? "" : `\n${warnings}`}
| what | server | CPU us per request | ratio | requests/s | p50 ms | p99 ms | p99.9 ms | RSS peak MiB | generator % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
${result.rows.flatMap(ownLoadRows).join("\n")}
`;
}

function ownLoadRows({ sizeBytes, operation, kura, nginx, ratio }: OwnLoadRow): string[] {
  const what = `${operation.toUpperCase()} ${size(sizeBytes)}`;
  const goal = judgeRatio(ratio, ratioGoal(operation, sizeBytes));
  const sides = [
    { name: "Kura", side: kura, note: `${ratio} (${goal})` },
    { name: "nginx", side: nginx, note: "" },
  ];
  return sides.map(({ name, side, note }) =>
    row(
      what,
      name,
      show(side.cpuUsPerAnswer),
      note,
      show(side.answersPerSecond),
      show(side.p50Ms),
      show(side.p99Ms),
      show(side.p999Ms),
      String(Math.round(side.rssPeakBytes / MiB)),
      String(side.generatorCpuPercent),
    ),
  );
}

function disturbance({ stealPercent, loadBefore }: Disturbance): string {
  return `steal ${stealPercent} %, load average before it ${loadBefore}`;
}

function table(kura: SideFigures, nginx: SideFigures): string {
  const line = (name: string, side: SideFigures): string =>
    row(
      name,
      show(side.cpuUsPerAnswer),
      show(side.answersPerSecond),
      show(side.p50Ms),
      show(side.p99Ms),
    );
  return `| server | CPU us per request | requests/s | p50 ms | p99 ms |
| --- | --- | --- | --- | --- |
${line("Kura", kura)}
${line("nginx", nginx)}
`;
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
