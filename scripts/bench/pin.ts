import os from "node:os";
import { requireProgram } from "../../spec/support/client-packages.ts";

/** The server gets core 0, the load core 1, so that neither takes time from the other. */
export function pinServer(): string[] {
  return pin(0);
}

export function pinLoad(): string[] {
  return pin(1);
}

function pin(core: number): string[] {
  const taskset = requireProgram("taskset", "apt-get install util-linux");
  if (os.cpus().length < 2) {
    throw new Error(
      "Cannot pin server and load apart: the machine has one core, these figures need two",
    );
  }
  return [taskset, "-c", String(core)];
}
