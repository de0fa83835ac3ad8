import { expect, test } from "bun:test";
import { minute } from "../../runtime/base/units.ts";
import { runSyscallSweep } from "../support/syscall-sweep.ts";

/** Every 37th place from a start by chance; the long tier tries all. */
const step = 37;
const testMsMax = 4 * minute;

test(
  "a node that dies at a system call loses nothing acknowledged and shows nothing refused",
  async () => {
    const report = await runSyscallSweep(step);
    console.log(`syscall-sweep: ${JSON.stringify(report)}`);
    expect(report.killed).toBeGreaterThan(report.runs / 2);
  },
  testMsMax,
);
