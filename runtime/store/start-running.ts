import { type RecoveryOptions, recover } from "./recover.ts";
import { assemble, continueLog, type Running, type RunningParts, startLog } from "./running.ts";

type StartOptions = Pick<
  RecoveryOptions,
  "random" | "home" | "knownEnds" | "progress" | "opened" | "pause" | "note"
> & {
  /** Asked when everything is there: the store may have been closed meanwhile. */
  readonly isWanted: () => boolean;
};

/** One recovery, from the files as they are, and a new segment to write to; null when nobody wants it any more. */
export async function startRunning(
  parts: RunningParts,
  { isWanted, ...options }: StartOptions,
): Promise<Running | null> {
  const { disk, dataDir, files } = parts;
  const recovery = await recover({ ...options, disk, dataDir, files });
  const journal = continueLog(recovery, parts);
  try {
    await startLog(recovery, journal, { files, note: options.note });
  } catch (error) {
    recovery.index.close();
    throw error;
  }
  if (isWanted()) return assemble(recovery, journal, parts);
  journal.seal();
  recovery.index.close();
  return null;
}
