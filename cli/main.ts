import { buildInfo } from "../runtime/base/build-info.ts";
import { catchSignals } from "../runtime/server/signals.ts";

/** Entry of the binary. `--version` ends here: scripts ask it often, and loading the rest takes longer than answering. */
const args = process.argv.slice(2);

if (args[0] === "--version" || args[0] === "-V") {
  process.stdout.write(`kura ${buildInfo.version}\n`);
} else {
  // Before anything else is loaded: a SIGTERM during the start must not kill the process half-way.
  const signals = args.length === 0 || args[0] === "serve" ? catchSignals() : null;
  const { runProgram } = await import("./program.ts");
  await runProgram(args, signals);
}
