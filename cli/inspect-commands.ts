import { type Command, Option } from "commander";
import { producers } from "../runtime/store/identity.ts";
import type { Terminal } from "./terminal.ts";

/** Flags that the `inspect` commands have in common. */
export type InspectOptions = { dataDir?: string; json?: boolean };

export type ArtifactOptions = InspectOptions & {
  producer: string;
  tenant?: string;
  namespace: string;
  key: string;
};

type Sub = { readonly name: string; readonly about: string; readonly examples: readonly string[] };

/** Adds `kura inspect ...`: one command for each thing to look at. */
export function addInspectCommands(program: Command, terminal: Terminal): void {
  const inspect = program
    .command("inspect")
    .description("Look into a node: text on a terminal, JSON when piped or with --json.")
    .addHelpText("after", "\nExamples:\n  kura inspect store\n  kura inspect config --json | jq .");
  addQuestions(inspect, terminal);
  addArtifact(inspect, terminal);
  addChecks(inspect, terminal);
}

function addQuestions(inspect: Command, terminal: Terminal): void {
  addSub(inspect, {
    name: "store",
    about: "Figures of the store: space, files, commits.",
    examples: ["kura inspect store", "kura inspect store --data-dir /var/lib/kura --json"],
  }).action(async (options: InspectOptions) => {
    const { inspectStore } = await import("./command/inspect-node.ts");
    await inspectStore({ terminal, ...options });
  });
  addSub(inspect, {
    name: "space",
    about: "Who fills the store: artifacts and hit rate by namespace and producer; what goes next.",
    examples: ["kura inspect space", "kura inspect space --limit 1000 --json | jq .holdings"],
  })
    .option("--limit <count>", "namespaces with their producers to list, 1 to 1,000 (default: 100)")
    .action(async (options: InspectOptions & { limit?: string }) => {
      const { inspectSpace } = await import("./command/inspect-space.ts");
      await inspectSpace({ terminal, ...options });
    });
  addSub(inspect, {
    name: "segments",
    about: "Every file of the log: number, state, size.",
    examples: ["kura inspect segments"],
  }).action(async (options: InspectOptions) => {
    const { inspectSegments } = await import("./command/inspect-node.ts");
    await inspectSegments({ terminal, ...options });
  });
  addSub(inspect, {
    name: "scrub",
    about: "The search for damage in a running node: rate, progress, last cycle, what it found.",
    examples: ["kura inspect scrub", "kura inspect scrub --now   # begin a cycle at full speed"],
  })
    .option("--now", "begin a cycle from the start and at full speed")
    .action(async (options: InspectOptions & { now?: boolean }) => {
      const { inspectScrub } = await import("./command/inspect-scrub.ts");
      await inspectScrub({ terminal, ...options });
    });
  addSub(inspect, {
    name: "config",
    about: "Every setting with its value, where that came from, unit, range and help.",
    examples: ["kura inspect config", "kura inspect config --resolve   # ignore a running node"],
  })
    .option("--resolve", "show what this environment gives, even while a node is running")
    .action(async (options: InspectOptions & { resolve?: boolean }) => {
      const { inspectConfig } = await import("./command/inspect-config.ts");
      await inspectConfig({ terminal, ...options });
    });
  inspect
    .command("build")
    .description("What this binary is, and whether every package in it works.")
    .option("--json", "print JSON even on a terminal")
    .addHelpText("after", "\nExamples:\n  kura inspect build")
    .action(async (options: { json?: boolean }) => {
      const { inspectBuild } = await import("./command/inspect-build.ts");
      await inspectBuild({ json: options.json === true || !terminal.isInteractive });
    });
}

function addArtifact(inspect: Command, terminal: Terminal): void {
  addSub(inspect, {
    name: "artifact",
    about: "One artifact: where it lies, its size, version and digest.",
    examples: [
      "kura inspect artifact --producer gradle --namespace ios --key 0a1b2c",
      "kura inspect artifact --producer xcode --namespace ios --key blob/0a1b2c",
      "kura inspect artifact --producer nx --namespace nx --key 1234567890",
    ],
  })
    .addOption(
      new Option("--producer <name>", "which tool's keys")
        .choices(Object.keys(producers))
        .makeOptionMandatory(),
    )
    .option("--tenant <name>", "tenant (default: the node's own)")
    .option("--namespace <name>", "namespace; without it, what was written without one", "")
    .requiredOption(
      "--key <key>",
      "the key as it is stored: `blob/ID` for Xcode, the bare key else",
    )
    .action(async (options: ArtifactOptions) => {
      const { inspectArtifact } = await import("./command/inspect-node.ts");
      await inspectArtifact({ terminal, ...options });
    });
}

function addChecks(inspect: Command, terminal: Terminal): void {
  addSub(inspect, {
    name: "verify",
    about: "Read every artifact and check it against its checksums. Changes nothing.",
    examples: ["kura inspect verify", "kura inspect verify --json > report.json"],
  }).action(async (options: InspectOptions) => {
    const { inspectVerify } = await import("./command/inspect-files.ts");
    await inspectVerify({ terminal, ...options });
  });
  addSub(inspect, {
    name: "rebuild",
    about:
      "Make the index anew from the files. The node must be stopped; the old index is kept aside.",
    examples: ["kura inspect rebuild --data-dir /var/lib/kura"],
  }).action(async (options: InspectOptions) => {
    const { inspectRebuild } = await import("./command/inspect-files.ts");
    await inspectRebuild({ terminal, ...options });
  });
}

function addSub(inspect: Command, { name, about, examples }: Sub): Command {
  return inspect
    .command(name)
    .description(about)
    .option("--data-dir <folder>", "data directory of the node (default: KURA_DATA_DIR or .kura)")
    .option("--json", "print JSON even on a terminal")
    .addHelpText("after", `\nExamples:\n${examples.map((line) => `  ${line}`).join("\n")}`);
}
