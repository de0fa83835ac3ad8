import { dirname } from "node:path";
import type { Disk } from "../base/disk.ts";
import { asFault, Fault } from "../base/fault.ts";
import { type DirectoryLock, lockDirectory } from "../store/lock.ts";

/**
 * Makes the data directory if need be and takes its writer lock, before anything else in it is touched.
 * @throws Fault "dataDirectory" when it cannot be used, "locked" when another process uses it.
 */
export function takeDataDirectory(disk: Disk, dataDir: string): DirectoryLock {
  try {
    const missing = missingFolders(disk, dataDir);
    disk.makeFolder(`${dataDir}/lock`);
    // A new folder is durable once the one above it is: without this a power cut could take the whole directory.
    for (const folder of missing) disk.syncFolder(dirname(folder));
  } catch (error) {
    const reason = asFault(error).message.replace(/^Cannot /, "cannot ");
    throw new Fault(
      "dataDirectory",
      `Cannot use the data directory ${dataDir}: ${reason}; set KURA_DATA_DIR to a folder this user can write`,
      { cause: error },
    );
  }
  return lockDirectory(dataDir);
}

/** The folders on the way to `folder` that do not exist yet, innermost first. */
function missingFolders(disk: Disk, folder: string): string[] {
  const missing: string[] = [];
  for (let at = folder; disk.sizeBytes(at) === null; at = dirname(at)) {
    missing.push(at);
    if (dirname(at) === at) break;
  }
  return missing;
}
