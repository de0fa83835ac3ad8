import { expect, test } from "bun:test";
import { minute } from "../../runtime/base/units.ts";
import { runSyscallSweep } from "../support/syscall-sweep.ts";

/** Every place. */
const step = 1;
const testMsMax = 180 * minute;

test(
  "a node that dies at a system call loses nothing acknowledged and shows nothing refused",
  async () => {
    const report = await runSyscallSweep(step);
    console.log(`syscall-sweep: ${JSON.stringify(report)}`);
    expect(report.killed).toBeGreaterThan(report.runs / 2);
  },
  testMsMax,
);
