import { processEnvironment } from "../runtime/config/environment.ts";
import type { Environment } from "../runtime/config/setting.ts";

/** What a command sees of the process it runs in. */
export type Terminal = {
  readonly env: Environment;
  /** Whether a person reads stdout; if not, commands print JSON. */
  readonly isInteractive: boolean;
  /** To stdout, with a line feed behind it. */
  print(text: string): void;
  /** To stderr, with a line feed behind it. */
  complain(text: string): void;
};

/** Without these a closed reader, such as a log collector that has ended, would end a node that serves well. */
process.stdout.on("error", ignoreClosedReader);
process.stderr.on("error", ignoreClosedReader);

function ignoreClosedReader(error: Error & { code?: string }): void {
  if (error.code !== "EPIPE") throw error;
}

export const processTerminal: Terminal = {
  env: processEnvironment,
  isInteractive: process.stdout.isTTY === true,
  print(text) {
    process.stdout.write(`${text}\n`);
  },
  complain(text) {
    process.stderr.write(`${text}\n`);
  },
};
