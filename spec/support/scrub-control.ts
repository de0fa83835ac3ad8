import { minute } from "../../runtime/base/units.ts";
import type { ScrubReport } from "../../runtime/store/scrub-figures.ts";
import { type NodeProcess, until } from "./node-process.ts";

/** Asks a running node for its scrub. */
export function readScrub(node: NodeProcess): Promise<ScrubReport> {
  return ask(node, "GET");
}

/** Runs one cycle at full speed to its end. */
export async function runCycle(node: NodeProcess): Promise<ScrubReport> {
  const { cycles } = await ask(node, "POST");
  let report = await ask(node, "GET");
  await until(
    "the end of a cycle of the scrub",
    async () => {
      report = await ask(node, "GET");
      return report.cycles > cycles;
    },
    5 * minute,
  );
  return report;
}

async function ask(node: NodeProcess, method: "GET" | "POST"): Promise<ScrubReport> {
  const answer = await fetch("http://kura/v1/scrub", { method, unix: node.adminSocket });
  if (answer.status !== 200) throw new Error(`The scrub answered ${await answer.text()}`);
  return (await answer.json()) as ScrubReport;
}

/** One line of the node's metrics by its whole name. */
export async function readMetric(node: NodeProcess, name: string): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}
