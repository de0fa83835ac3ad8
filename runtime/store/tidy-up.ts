import { asFault } from "../base/fault.ts";
import type { Ballast } from "./ballast.ts";
import type { StoreFiles } from "./files.ts";
import type { Maintenance } from "./maintenance.ts";
import type { StoreNote } from "./open.ts";

export type TidyUpOptions = {
  readonly maintenance: Maintenance;
  readonly files: StoreFiles;
  /** Files from this number on are of this process's life and are left alone. */
  readonly firstOwnFile: number;
  readonly ballast: Ballast;
  readonly mayRemove: () => boolean;
  readonly note: StoreNote;
};

/** After a start: large files that no record names go, and the ballast is laid in. Failing to is only noted. */
export async function tidyUp(options: TidyUpOptions): Promise<void> {
  const { maintenance, files, firstOwnFile, ballast, mayRemove, note } = options;
  try {
    const old = files.largeNumbers().filter((file) => file < firstOwnFile);
    const unreferenced = old.length === 0 ? [] : await maintenance.findUnreferenced(old);
    if (!mayRemove()) return;
    for (const file of unreferenced) files.removeLarge(file);
    if (unreferenced.length > 0) note("aborted uploads removed", { files: unreferenced.length });
    await ballast.tend();
  } catch (error) {
    note("tidying up failed", { reason: asFault(error).message });
  }
}
