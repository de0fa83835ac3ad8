import type { Log } from "../observe/log.ts";

/** EX_SOFTWARE of sysexits: a defect of the program, not of its surroundings. */
const defectExitCode = 70;

/**
 * Ends the process on an error that nobody caught: its state can no longer be believed, and a restart recovers from
 * the files. One log line tells what it was.
 */
export function endOnDefect(log: Log): void {
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => {
      const known = error instanceof Error ? error : new Error(String(error));
      log.error("the process ends on a defect", { event, error: known });
      process.exit(defectExitCode);
    });
  }
}
