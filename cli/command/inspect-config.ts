import { type ConfigEntry, describeConfig } from "../../runtime/config/describe.ts";
import { exitCodes } from "../exit-codes.ts";
import type { InspectOptions } from "../inspect-commands.ts";
import { askNode, requireSuccess } from "../node-client.ts";
import { readConfig } from "../settings.ts";
import type { Terminal } from "../terminal.ts";

type Options = InspectOptions & { terminal: Terminal; resolve?: boolean };

type Shown = {
  /** Whose values these are. */
  from: string;
  problems: readonly string[];
  warnings: readonly string[];
  settings: readonly ConfigEntry[];
};

/** Shows every setting: of the node that runs in the data directory, else as this environment would give it. */
export async function inspectConfig({ terminal, dataDir, json, resolve }: Options): Promise<void> {
  const shown = await findConfig({ terminal, dataDir, resolve });
  if (json === true || !terminal.isInteractive) terminal.print(JSON.stringify(shown, null, 2));
  else terminal.print(render(shown));
  if (shown.problems.length > 0) process.exitCode = exitCodes.configuration;
}

async function findConfig(options: {
  terminal: Terminal;
  dataDir: string | undefined;
  resolve: boolean | undefined;
}): Promise<Shown> {
  const flags = options.dataDir === undefined ? {} : { KURA_DATA_DIR: options.dataDir };
  const loaded = readConfig(options.terminal.env, flags);
  const { dataDir } = loaded.config;
  if (options.resolve !== true) {
    const answer = await askNode(dataDir, { method: "GET", path: "/v1/config" });
    if (answer !== null) {
      requireSuccess(answer, "ask the node for its configuration");
      const settings = JSON.parse(answer.text) as ConfigEntry[];
      return { from: `the node that runs in ${dataDir}`, problems: [], warnings: [], settings };
    }
  }
  return {
    from: "this environment",
    problems: loaded.problems,
    warnings: loaded.warnings,
    settings: describeConfig(loaded),
  };
}

function render({ from, problems, warnings, settings }: Shown): string {
  const lines = [`Settings of ${from}`, ""];
  for (const setting of settings) {
    const origin =
      setting.formula === "" ? setting.source : `${setting.source}: ${setting.formula}`;
    const note = setting.source === "derived" ? origin : setting.source;
    lines.push(`${setting.name} = ${setting.value}  [${note}]`);
    const planned = setting.isUsed ? "" : " Not used by this version yet.";
    lines.push(`    ${setting.help}${planned} Takes ${setting.range} (${setting.unit}).`);
  }
  for (const warning of warnings) lines.push("", `warning: ${warning}`);
  for (const problem of problems) lines.push("", `problem: ${problem}`);
  return lines.join("\n");
}
