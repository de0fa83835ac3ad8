import fs from "node:fs";
import path from "node:path";

/** Files of large bodies, committed or not. */
export function largeFiles(dataDir: string): number {
  return fs.readdirSync(path.join(dataDir, "large")).length;
}
