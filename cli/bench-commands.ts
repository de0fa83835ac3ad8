import { type Command, Option } from "commander";
import {
  collect,
  parseHttpUrl,
  parseLabel,
  parseSizes,
  refuse,
  whole,
} from "./bench/flag-values.ts";
import { addLengthOptions, addServerOptions, connectionsMax } from "./bench/flags.ts";
import { addGrpcOptions } from "./bench/grpc/flags.ts";
import type { GrpcBenchFlags } from "./bench/grpc/plan.ts";
import { type Mix, parseMix } from "./bench/mix.ts";
import type { BenchFlags } from "./bench/options.ts";
import { surfaceNames } from "./bench/surfaces.ts";
import type { Terminal } from "./terminal.ts";

/** Adds `kura bench ...`: loads that measure a server. */
export function addBenchCommands(program: Command, terminal: Terminal): void {
  const bench = program
    .command("bench")
    .description("Load a server and print what each operation takes.")
    .addHelpText("after", "\nExamples:\n  kura bench http\n  kura bench grpc");
  addHttp(bench, terminal);
  addGrpc(bench, terminal);
}

function addHttp(bench: Command, terminal: Terminal): void {
  const command = bench
    .command("http")
    .description(
      "Load a Kura node, or any server that takes PUT and GET of a path. Without --url a node with an empty data " +
        "directory is started for it, and ended and removed afterwards.",
    );
  addServerOptions(command, "address of a running server (http only)", parseHttpUrl);
  addLoadOptions(command);
  addPathOptions(command);
  command.addHelpText("after", examples).action(async (flags: BenchFlags) => {
    const { benchHttp } = await import("./command/bench-http.ts");
    await benchHttp(terminal, flags);
  });
}

function addGrpc(bench: Command, terminal: Terminal): void {
  const command = bench
    .command("grpc")
    .description(
      "Load the Remote Execution API of a Kura node, or of any other cache that has it, over gRPC without TLS. " +
        "Without --url a node with an empty data directory is started for it, and ended and removed afterwards.",
    );
  addGrpcOptions(command);
  command.action(async (flags: GrpcBenchFlags) => {
    const { benchGrpc } = await import("./command/bench-grpc.ts");
    await benchGrpc(terminal, flags);
  });
}

const examples = `
Examples:
  kura bench http
  kura bench http --sizes 1KiB,64KiB --mix get=90,put=10 --duration 30s --rounds 3
  kura bench http --url http://127.0.0.1:4000 --data-dir /var/lib/kura --json > figures.json
  kura bench http --url http://127.0.0.1:8080 --path-template '/dav/{key}' --sizes 1MiB --mix get --mix put

CPU is user and system time of the server's processes until they are quiet again, divided by the good answers of the
cell. Server and load are pinned to different cores when this command starts the server.`;

function addLoadOptions(command: Command): void {
  const sizes = "1KiB,64KiB,1MiB,64MiB";
  command
    .addOption(
      new Option("--sizes <list>", "sizes of bodies")
        .argParser(parseSizes)
        .default(parseSizes(sizes), sizes),
    )
    .addOption(
      new Option("--concurrency <n>", "connections, each with one request in flight")
        .argParser(whole({ min: 1, max: connectionsMax }))
        .default(undefined, "64 up to 64 KiB, 32 up to 1 MiB, 8 above"),
    )
    .addOption(
      new Option("--mix <list>", "shares of operations in one cell; may be given several times")
        .argParser(collect(parseMixOption))
        .default(undefined, "a cell of get, then one of put; there are head and miss too"),
    )
    .addOption(
      new Option("--order <order>", "which keys are read")
        .choices(["uniform", "zipf"])
        .default("uniform"),
    );
  addLengthOptions(command);
}

function addPathOptions(command: Command): void {
  command
    .addOption(
      new Option("--surface <tool>", "whose routes are used")
        .choices(surfaceNames)
        .default("gradle"),
    )
    .addOption(
      new Option(
        "--path-template <path>",
        "path of an artifact, with {key} and, if wanted, {tenant} and {namespace}",
      )
        .argParser(parseTemplate)
        .conflicts("surface"),
    )
    .addOption(
      new Option("--write-method <method>", "method of a write, if not the tool's own").choices([
        "PUT",
        "POST",
      ]),
    )
    .option("--tenant <name>", "tenant in the path", parseLabel, "default")
    .option("--namespace <name>", "namespace in the path", parseLabel, "bench");
}

function parseMixOption(text: string): Mix {
  return (
    parseMix(text) ?? refuse("It takes shares of get, put, head and miss, such as get=90,put=10.")
  );
}

function parseTemplate(text: string): string {
  if (/^\/[\x21-\x7e]*$/.test(text) && text.includes("{key}")) return text;
  return refuse("It takes a path that begins with / and has {key} in it.");
}
