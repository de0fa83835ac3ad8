import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { buildInfo } from "../runtime/base/build-info.ts";
import { asFault, Fault } from "../runtime/base/fault.ts";
import { type Field, table } from "../runtime/config/table.ts";
import type { Signals } from "../runtime/server/signals.ts";
import { addBenchCommands } from "./bench-commands.ts";
import { exitCodeHelp, exitCodes } from "./exit-codes.ts";
import { addInspectCommands } from "./inspect-commands.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

/** Flags of `serve` and the settings they stand for. */
const serveFlags: readonly (readonly [flag: string, field: Field])[] = [
  ["--port <port>", "publicPort"],
  ["--bind <address>", "bind"],
  ["--data-dir <folder>", "dataDir"],
  ["--tenant <name>", "tenant"],
  ["--region <name>", "region"],
  ["--node-url <url>", "nodeUrl"],
  ["--capacity <bytes>", "capacityBytes"],
  ["--log-level <level>", "logLevel"],
];

/** Runs one command line to its end and leaves its exit code in `process.exitCode`. */
export async function runProgram(args: readonly string[], signals: Signals | null): Promise<void> {
  const terminal = processTerminal;
  const program = makeProgram(terminal, signals);
  try {
    // Without a command the node runs, as the reference's binary does.
    await program.parseAsync(args.length === 0 ? ["serve"] : [...args], { from: "user" });
  } catch (error) {
    process.exitCode = report(terminal, error);
  }
}

/** One line on stderr for each thing that is wrong; commander's own errors have been printed already. */
function report(terminal: Terminal, error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
  const fault = asFault(error);
  const { cause, code } = fault;
  const isDefect = code === "internal" && cause instanceof Error;
  const message = isDefect ? `${fault.message} (${cause.message})` : fault.message;
  for (const line of message.split("\n")) terminal.complain(`kura: ${line}`);
  return exitCodes[fault.code];
}

function makeProgram(terminal: Terminal, signals: Signals | null): Command {
  const program = new Command("kura")
    .description("The build cache a team runs next to its builds.")
    .version(`kura ${buildInfo.version}`, "-V, --version")
    .helpOption("-h, --help", "print help; with a command, help on that command")
    .addHelpText("after", `\n${exitCodeHelp}\n\nExample:\n  kura serve --data-dir ./cache`)
    .configureOutput({
      writeErr: (text) => {
        // Commander puts its hint on a line of its own; one problem is one line.
        terminal.complain(
          `kura: ${text
            .trim()
            .replace(/^error: /, "")
            .replace(/\s*\n\s*/g, " ")}`,
        );
      },
    })
    .exitOverride();
  addServe(program, terminal, signals);
  addClean(program, terminal);
  addInspectCommands(program, terminal);
  addBenchCommands(program, terminal);
  return program;
}

function addServe(program: Command, terminal: Terminal, signals: Signals | null): void {
  const command = program
    .command("serve")
    .description("Run a node. Every setting has a default and can be set in the environment.");
  for (const [flag, field] of serveFlags) {
    const { name, help } = table[field];
    command.option(flag, `${help} (${name})`);
  }
  command
    .option("--insecure-no-auth", `${table.insecureNoAuth.help} (${table.insecureNoAuth.name})`)
    .addHelpText(
      "after",
      `
Examples:
  kura serve
  kura serve --port 8080 --data-dir /var/lib/kura --tenant acme
  KURA_CAS_CAPACITY_BYTES=200GiB kura serve

\`kura inspect config\` lists every setting. SIGTERM drains and ends, SIGUSR1 drains and stays, a second SIGTERM ends at once.`,
    )
    .action(async (options: Record<string, string | true>) => {
      const flags = flagValues(command, options);
      const { serve } = await import("./command/serve.ts");
      // The node owns sockets and a Worker: only an explicit end is an end.
      process.exit(
        await serve({ terminal, flags, signals }).catch((error) => report(terminal, error)),
      );
    });
}

/** Values of given flags, by the names of the settings. */
function flagValues(
  command: Command,
  options: Readonly<Record<string, string | true>>,
): Record<string, string> {
  const flags: Record<string, string> = {};
  for (const [flag, field] of serveFlags) {
    const option = command.options.find((one) => one.flags === flag);
    const value = option === undefined ? undefined : options[option.attributeName()];
    if (value === undefined || value === true) continue;
    if (value.trim() === "") {
      throw new Fault(
        "usage",
        `${option?.long} needs a value: it takes ${table[field].kind.range}`,
      );
    }
    flags[table[field].name] = value;
  }
  if (options.insecureNoAuth === true) flags[table.insecureNoAuth.name] = "1";
  return flags;
}

function addClean(program: Command, terminal: Terminal): void {
  program
    .command("clean")
    .description("Remove every artifact of one namespace, written by whatever tool.")
    .option("--tenant <name>", "tenant of the namespace (default: the node's own)")
    .option("--namespace <name>", "the namespace; without it, what was written without one")
    .addOption(
      new Option("--data-dir <folder>", "data directory of a node on this machine").conflicts(
        "url",
      ),
    )
    .option("--url <url>", "public address of a node, instead of its data directory", parseUrl)
    .option("--json", "print JSON even on a terminal")
    .addHelpText(
      "after",
      `
Examples:
  kura clean --tenant acme --namespace ios
  kura clean --namespace nx --data-dir /var/lib/kura
  kura clean --tenant acme --namespace ios --url http://127.0.0.1:4000

Clients that name no namespace have one of their own: \`nx\`, \`metro\`, \`gradle\`, \`turborepo\`, and \`default\` for
Bazel. Disk space returns when the segments are drained.`,
    )
    .action(async (options: CleanOptions) => {
      const { clean } = await import("./command/clean.ts");
      await clean({ terminal, ...options });
    });
}

export type CleanOptions = {
  tenant?: string;
  namespace?: string;
  dataDir?: string;
  url?: string;
  json?: boolean;
};

function parseUrl(text: string): string {
  const value = table.nodeUrl.kind.parse(text);
  if (value === null) throw new InvalidArgumentError(`It takes ${table.nodeUrl.kind.range}.`);
  return value;
}
