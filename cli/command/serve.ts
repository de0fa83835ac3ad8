import { buildInfo } from "../../runtime/base/build-info.ts";
import type { Environment } from "../../runtime/config/setting.ts";
import { runComposedNode } from "../../runtime/server/compose.ts";
import { catchSignals, type Signals } from "../../runtime/server/signals.ts";
import { requireConfig } from "../settings.ts";
import type { Terminal } from "../terminal.ts";

type ServeInput = {
  readonly terminal: Terminal;
  /** Values of the command line, by the names of the settings. */
  readonly flags: Environment;
  /** Caught since the process began, or null when serving was not foreseen then. */
  readonly signals: Signals | null;
};

/** Runs a node until it is told to end; resolves with the exit code. */
export async function serve({ terminal, flags, signals }: ServeInput): Promise<number> {
  const loaded = requireConfig(terminal.env, flags);
  await runComposedNode({
    loaded,
    version: buildInfo.version,
    signals: signals ?? catchSignals(),
    print: terminal.print,
    printLog: terminal.complain,
  });
  return 0;
}
