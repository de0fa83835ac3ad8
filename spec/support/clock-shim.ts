import path from "node:path";
import { second } from "../../runtime/base/units.ts";

/**
 * Moves the wall clock of one process and leaves its monotonic clock and its timers alone. Bun asks the C library for
 * the time, so a preloaded library can answer instead (seen with 1.4.5, also in a compiled binary).
 */
const source = `
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset_s;
__attribute__((constructor)) static void read_offset(void) {
  const char *text = getenv("SPEC_CLOCK_OFFSET_S");
  offset_s = text ? atol(text) : 0;
}
int clock_gettime(clockid_t id, struct timespec *ts) {
  int result = syscall(SYS_clock_gettime, id, ts);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) ts->tv_sec += offset_s;
  return result;
}
int gettimeofday(struct timeval *tv, void *tz) {
  int result = syscall(SYS_gettimeofday, tv, tz);
  if (result == 0 && tv) tv->tv_sec += offset_s;
  return result;
}
time_t time(time_t *out) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  if (out) *out = ts.tv_sec;
  return ts.tv_sec;
}
`;

/** Compiles the library into `folder` and returns its path. @throws when there is no C compiler. */
export function compileClockShim(folder: string): string {
  const library = path.join(folder, "clock-shim.so");
  const command = ["cc", "-O2", "-shared", "-fPIC", "-x", "c", "-o", library, "-"];
  const result = Bun.spawnSync(command, { stdin: Buffer.from(source), stderr: "pipe" });
  if (result.exitCode === 0) return library;
  throw new Error(`Cannot compile the clock shim with cc: ${result.stderr.toString()}`);
}

/** Settings of a process whose wall clock is off by `offsetMs`, which may be negative. */
export function clockEnvironment(library: string, offsetMs: number): Record<string, string> {
  return {
    LD_PRELOAD: library,
    SPEC_CLOCK_OFFSET_S: String(Math.round(offsetMs / second)),
  };
}
