import { Fault } from "../../runtime/base/fault.ts";
import type { ScrubReport } from "../../runtime/store/scrub-figures.ts";
import type { InspectOptions } from "../inspect-commands.ts";
import { askNode, requireSuccess } from "../node-client.ts";
import { readConfig } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { renderFacts, renderTable } from "../view/text.ts";

export type ScrubOptions = InspectOptions & { now?: boolean };

/** What the scrub of the running node does and has found. @throws Fault "unavailable" when no node runs there. */
export async function inspectScrub({
  terminal,
  now,
  ...options
}: ScrubOptions & { readonly terminal: Terminal }): Promise<void> {
  const flags = options.dataDir === undefined ? {} : { KURA_DATA_DIR: options.dataDir };
  const { dataDir } = readConfig(terminal.env, flags).config;
  const method = now === true ? "POST" : "GET";
  const answer = await askNode(dataDir, { method, path: "/v1/scrub" });
  if (answer === null) {
    const advice =
      "the scrub is part of a running node; `kura inspect verify` checks a stopped one";
    throw new Fault(
      "unavailable",
      `Cannot ask the scrub: no node is running in ${dataDir}; ${advice}`,
    );
  }
  requireSuccess(answer, "ask the node for its scrub");
  const report = JSON.parse(answer.text) as ScrubReport;
  const isText = options.json !== true && terminal.isInteractive;
  terminal.print(isText ? render(report) : JSON.stringify(report, null, 2));
}

function render({ damages, ...facts }: ScrubReport): string {
  return [renderFacts(facts), "", "Damaged artifacts, newest last:", renderTable(damages)].join(
    "\n",
  );
}
