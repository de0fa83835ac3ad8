import { type Command, InvalidArgumentError, Option } from "commander";
import { GiB, hour, minute, second } from "../runtime/base/units.ts";
import { bytes, count, label, url } from "../runtime/config/value.ts";
import { type Mix, parseMix } from "./bench/mix.ts";
import type { BenchFlags } from "./bench/options.ts";
import { surfaceNames } from "./bench/surfaces.ts";
import type { Terminal } from "./terminal.ts";

const bodyBytesMax = 2 * GiB;
/** Sockets of one process; more than the port range of a loopback address allows would fail half-way. */
const connectionsMax = 10_000;
const keysMax = 10_000_000;
const requestsMax = 1_000_000_000;
const roundsMax = 100;
const durationMsMax = 24 * hour;

/** Adds `kura bench ...`: loads that measure a server. */
export function addBenchCommands(program: Command, terminal: Terminal): void {
  const bench = program
    .command("bench")
    .description("Load a server and print what each operation takes.")
    .addHelpText("after", "\nExample:\n  kura bench http");
  const command = bench
    .command("http")
    .description(
      "Load a Kura node, or any server that takes PUT and GET of a path. Without --url a node with an empty data " +
        "directory is started for it, and ended and removed afterwards.",
    );
  addServerOptions(command);
  addLoadOptions(command);
  addPathOptions(command);
  command.addHelpText("after", examples).action(async (flags: BenchFlags) => {
    const { benchHttp } = await import("./command/bench-http.ts");
    await benchHttp(terminal, flags);
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

function addServerOptions(command: Command): void {
  command
    .option("--url <url>", "address of a running server (http only)", parseHttpUrl)
    .addOption(
      new Option("--server-pid <pid>", "its process, for figures of CPU and memory")
        .argParser(whole({ min: 1, max: 4_194_304 }))
        .conflicts("dataDir"),
    )
    .option(
      "--data-dir <folder>",
      "data directory of the node behind --url, to find its process by (default: who listens on the port)",
    )
    .option(
      "--set <name=value>",
      "setting for the node that is started; may be given several times",
      collect(parseSetting),
    );
}

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
      new Option("--keys <n>", "different artifacts that are read")
        .argParser(whole({ min: 1, max: keysMax }))
        .default(undefined, "as many as fit into 256 MiB, 4 to 1000"),
    )
    .addOption(
      new Option("--order <order>", "which keys are read")
        .choices(["uniform", "zipf"])
        .default("uniform"),
    );
  addLengthOptions(command);
}

function addLengthOptions(command: Command): void {
  command
    .addOption(
      new Option("--duration <time>", "length of each cell")
        .argParser(parseDuration)
        .default(10 * second, "10s"),
    )
    .addOption(
      new Option("--requests <n>", "end each cell after so many requests instead")
        .argParser(whole({ min: 1, max: requestsMax }))
        .conflicts("duration"),
    )
    .addOption(
      new Option("--warm-up <time>", "load before each cell that is not counted; 0s for none")
        .argParser(parseDuration)
        .default(second, "1s"),
    )
    .addOption(
      new Option("--rounds <n>", "runs of all cells, one after the other")
        .argParser(whole({ min: 1, max: roundsMax }))
        .default(1),
    )
    .addOption(
      new Option("--seed <n>", "of bodies, keys and their order")
        .argParser(whole({ min: 0, max: 0xffff_ffff }))
        .default(1),
    )
    .addOption(
      new Option("--verify <which>", "which bodies are compared with what was written")
        .choices(["first", "all", "none"])
        .default("first", "each key's first in a cell"),
    )
    .option("--json", "print JSON even on a terminal");
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
    .option("--namespace <name>", "namespace in the path", parseLabel, "bench")
    .option(
      "--header <line>",
      "header for every request, as 'Name: value'; may be given several times",
      collect(parseHeader),
    );
}

function whole(bounds: { min: number; max: number }): (text: string) => number {
  const kind = count(bounds);
  return (text) => kind.parse(text) ?? refuse(`It takes a whole number, ${kind.range}.`);
}

function collect<T>(parse: (text: string) => T): (text: string, before?: T[]) => T[] {
  return (text, before = []) => [...before, parse(text)];
}

function parseSizes(text: string): number[] {
  const kind = bytes({ min: 1, max: bodyBytesMax });
  return text
    .split(",")
    .map(
      (part) =>
        kind.parse(part.trim()) ?? refuse(`It takes sizes with commas between: ${kind.range}.`),
    );
}

function parseMixOption(text: string): Mix {
  return (
    parseMix(text) ?? refuse("It takes shares of get, put, head and miss, such as get=90,put=10.")
  );
}

const timeUnits: Readonly<Record<string, number>> = { ms: 1, s: second, m: minute, h: hour };

/** Milliseconds; 0 to a day. */
function parseDuration(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text);
  const valueMs = Math.round(Number(match?.[1]) * (timeUnits[match?.[2] ?? ""] ?? Number.NaN));
  if (valueMs <= durationMsMax) return valueMs;
  return refuse("It takes a time such as 500ms, 10s or 2m, at most 24h.");
}

function parseHttpUrl(text: string): string {
  const parsed = url().parse(text);
  if (parsed === null || !parsed.startsWith("http://")) refuse("It takes an absolute http:// URL.");
  const { origin, pathname, search } = new URL(text);
  if (pathname !== "/" || search !== "") refuse("It takes no path: give --path-template.");
  return origin;
}

function parseTemplate(text: string): string {
  if (/^\/[\x21-\x7e]*$/.test(text) && text.includes("{key}")) return text;
  return refuse("It takes a path that begins with / and has {key} in it.");
}

function parseLabel(text: string): string {
  const kind = label();
  return kind.parse(text) ?? refuse(`It takes ${kind.range}.`);
}

/** What frames a request is written by the load itself: twice would be a request that each server reads differently. */
const ownHeaders = /^(host|connection|content-length|transfer-encoding|expect|upgrade)$/i;

function parseHeader(text: string): string {
  const name = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?[\x20-\x7e]+$/.exec(text)?.[1];
  if (name !== undefined && !ownHeaders.test(name)) return text;
  return refuse("It takes 'Name: value', of any header but those that frame a request.");
}

function parseSetting(text: string): [string, string] {
  const match = /^(KURA_[A-Z0-9_]+)=(.+)$/.exec(text);
  return match?.[1] !== undefined && match[2] !== undefined
    ? [match[1], match[2]]
    : refuse("It takes a setting, such as KURA_BODY_CACHE_MAX_BYTES=64MiB.");
}

function refuse(why: string): never {
  throw new InvalidArgumentError(why);
}
