import { Fault } from "../../runtime/base/fault.ts";
import { lockDirectory } from "../../runtime/store/lock.ts";
import type { InspectOptions } from "../inspect-commands.ts";
import { rebuildFromFiles, verifyFiles } from "../offline.ts";
import { readConfig } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { withProgress } from "../view/progress.ts";
import { show } from "../view/text.ts";

type Options = InspectOptions & { readonly terminal: Terminal };

/** Checks every byte that is stored. @throws Fault "damaged" after the report when something is. */
export async function inspectVerify({ terminal, ...options }: Options): Promise<void> {
  const dataDir = locate(terminal, options);
  const report = await withProgress(terminal, "verify", (tell) => verifyFiles(dataDir, tell));
  show(terminal, report, options);
  if (report.damagedCount > 0) {
    const what = `${report.damagedCount} of ${report.checkedCount} artifacts are damaged`;
    throw new Fault(
      "damaged",
      `${what}; the node answers a miss for them, and a new upload heals them`,
    );
  }
}

/** Makes the index anew from the files, under the writer lock. @throws Fault "locked" while a node runs. */
export async function inspectRebuild({ terminal, ...options }: Options): Promise<void> {
  const dataDir = locate(terminal, options);
  const lock = lockDirectory(dataDir);
  try {
    const report = await withProgress(terminal, "rebuild", (tell) =>
      rebuildFromFiles(dataDir, tell),
    );
    show(terminal, report, options);
  } finally {
    lock.release();
  }
}

function locate(terminal: Terminal, options: InspectOptions): string {
  const flags = options.dataDir === undefined ? {} : { KURA_DATA_DIR: options.dataDir };
  return readConfig(terminal.env, flags).config.dataDir;
}
