import { type Command, Option } from "commander";
import { second } from "../../runtime/base/units.ts";
import { collect, parseDuration, parseHeader, parseSetting, whole } from "./flag-values.ts";

const keysMax = 10_000_000;
const requestsMax = 1_000_000_000;
const roundsMax = 100;
/** Sockets of one process; more than the port range of a loopback address allows would fail half-way. */
export const connectionsMax = 10_000;

/** Which server is loaded. `parseUrl` knows the addresses that the command takes. */
export function addServerOptions(
  command: Command,
  what: string,
  parseUrl: (text: string) => string,
): void {
  command
    .option("--url <url>", what, parseUrl)
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

/** How much is asked, and for how long. */
export function addLengthOptions(command: Command): void {
  command
    .addOption(
      new Option("--keys <n>", "different artifacts that are read")
        .argParser(whole({ min: 1, max: keysMax }))
        .default(undefined, "as many as fit into 256 MiB, 4 to 1000; 100 results and searches"),
    )
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
    .option(
      "--header <line>",
      "header for every request, as 'Name: value'; may be given several times",
      collect(parseHeader),
    )
    .option("--json", "print JSON even on a terminal");
}
