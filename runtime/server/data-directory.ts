import type { Disk } from "../base/disk.ts";
import { asFault, Fault } from "../base/fault.ts";
import { type DirectoryLock, lockDirectory } from "../store/lock.ts";

/**
 * Makes the data directory if need be and takes its writer lock, before anything else in it is touched.
 * @throws Fault "dataDirectory" when it cannot be used, "locked" when another process uses it.
 */
export function takeDataDirectory(disk: Disk, dataDir: string): DirectoryLock {
  try {
    disk.makeFolder(`${dataDir}/lock`);
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
