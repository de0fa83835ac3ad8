/** Versions count 1/1,024 ms, so that a whole number up to 2^53-1 reaches the year 2248. */
const versionsPerMs = 1_024;

export function versionOfWall(wallMs: number): number {
  return Math.max(0, Math.floor(wallMs)) * versionsPerMs;
}

/** When something was written, as far as its version tells: under a clock that went back it may be late. */
export function wallMsOfVersion(version: number): number {
  return Math.floor(version / versionsPerMs);
}
