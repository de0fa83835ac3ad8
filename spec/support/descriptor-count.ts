import fs from "node:fs";
import { until } from "./node-process.ts";

/** Files that a process has open. */
export function descriptorsOf(pid: number): number {
  return fs.readdirSync(`/proc/${pid}/fd`).length;
}

/** What each of them is, for the message when there are too many. */
function listDescriptors(pid: number): string {
  const names = fs.readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return "gone";
    }
  });
  return names.sort().join("\n");
}

/** Waits until as many are open as before, give or take 8. @source trust.md test 32. */
export async function descriptorsBack(
  pid: number,
  before: number,
  withinMs: number,
): Promise<void> {
  try {
    await until("the descriptors to be back", () => descriptorsOf(pid) <= before + 8, withinMs);
  } catch (error) {
    throw new Error(`${error}: ${before} before, now\n${listDescriptors(pid)}`);
  }
}
