import { second } from "../../runtime/base/units.ts";
import { parseHoldingsLimit, type SpaceReport } from "../../runtime/catalog/space-report.ts";
import type { InspectOptions } from "../inspect-commands.ts";
import { askNode, requireSuccess } from "../node-client.ts";
import { readSpace } from "../offline.ts";
import { readConfig } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { renderSpace } from "../view/space.ts";

/** The node counts 1.2 s for a million artifacts where nothing else runs; its socket waits no longer than this. */
const censusMsMax = 255 * second;

type Options = InspectOptions & { readonly terminal: Terminal; readonly limit?: string };

/** Who fills the store: from the running node with its reads, or what the files of a stopped one tell. */
export async function inspectSpace({ terminal, dataDir, json, limit }: Options): Promise<void> {
  const flags = dataDir === undefined ? {} : { KURA_DATA_DIR: dataDir };
  const { config } = readConfig(terminal.env, flags);
  const report = await findSpace(config.dataDir, parseHoldingsLimit(limit));
  const isForPerson = json !== true && terminal.isInteractive;
  terminal.print(isForPerson ? renderSpace(report) : JSON.stringify(report, null, 2));
}

async function findSpace(dataDir: string, limit: number): Promise<SpaceReport> {
  const path = `/v1/space?limit=${limit}`;
  const answer = await askNode(dataDir, { method: "GET", path, withinMs: censusMsMax });
  if (answer === null) return readSpace(dataDir, limit);
  requireSuccess(answer, "ask the node for its space");
  return JSON.parse(answer.text) as SpaceReport;
}
