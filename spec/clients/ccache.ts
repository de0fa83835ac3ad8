import fs from "node:fs";
import path from "node:path";
import { requireProgram } from "../support/client-packages.ts";
import { makeTemporaryFolder } from "../support/node-process.ts";
import {
  type Build,
  chanceText,
  digestFiles,
  filesWithout,
  type JudgedClient,
  removeAll,
  runClient,
  writeFiles,
} from "./flow.ts";

export const ccacheInstallCommand = "apt-get install -y --no-install-recommends ccache gcc";

/** How ccache names its entries: one folder, 256 folders, or like Bazel's action cache. */
export type CcacheLayout = "flat" | "subdirs" | "bazel";
export const ccacheLayouts = ["flat", "subdirs", "bazel"] as const;
export const ccacheBase = "/ccache/acme/ios";

const sources = ["one", "two", "three"] as const;
const objects = sources.map((name) => `${name}.o`);
/** The last object packs to more than 1 MiB: chance in hex packs to half. */
const bigTextCharacters = 3_000_000;

/**
 * ccache 4.7.5 before a compiler that puts chance into every object, so that equal digests can only come from a cache.
 * One process for each source, as under make.
 */
export function makeCcacheClient(word: string, layout: CcacheLayout): JudgedClient {
  const ccache = requireProgram("ccache", ccacheInstallCommand);
  const gcc = requireProgram("gcc", ccacheInstallCommand);
  const folder = makeTemporaryFolder("ccache");
  const project = path.join(folder, "project");
  writeFiles(project, { "chance-gcc": compiler(gcc) });
  fs.chmodSync(path.join(project, "chance-gcc"), 0o755);
  for (const name of sources) writeFiles(project, { [`${name}.c`]: source(word, name) });
  const env = (serverUrl: string): Record<string, string> => ({
    HOME: folder,
    CCACHE_DIR: path.join(folder, "cache"),
    // Not the time of its file, which differs between two projects.
    CCACHE_COMPILERCHECK: "content",
    CCACHE_REMOTE_STORAGE: `${serverUrl}${ccacheBase}|layout=${layout}`,
  });
  return {
    tasks: sources.length,
    async build(serverUrl) {
      const run = (...command: readonly string[]): Promise<string> =>
        runClient({ command: [ccache, ...command], folder: project, env: env(serverUrl) });
      await run("--zero-stats");
      for (const name of sources) {
        await run("./chance-gcc", "-O1", "-c", `${name}.c`, "-o", `${name}.o`);
      }
      return readBuild(project, await run("--print-stats"));
    },
    wrongOutputs() {
      const texts = sources.map((name) => [`${name}.o`, sourceText(word, name)]);
      return filesWithout(project, Object.fromEntries(texts));
    },
    wipe() {
      removeAll(project, objects);
      removeAll(folder, ["cache"]);
    },
    async [Symbol.asyncDispose]() {
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** ccache asks for the preprocessed source first, which must not change from call to call. */
function compiler(gcc: string): string {
  return `#!/bin/sh
case " $* " in *" -E "*) exec ${gcc} "$@" ;; esac
chance=$(head -c 16 /dev/urandom | od -An -tx8 | tr -d ' ')
exec ${gcc} "$@" "-DCHANCE=\\"$chance\\""
`;
}

function sourceText(word: string, name: string): string {
  return `${word} ${name}`;
}

function source(word: string, name: string): string {
  const texts = [
    sourceText(word, name),
    ...(name === "three" ? [chanceText(word, bigTextCharacters)] : []),
  ];
  return `
#ifndef CHANCE
#define CHANCE ""
#endif
const char chance_of_${name}[] = CHANCE;
${texts.map((text, i) => `const char text_${i}_of_${name}[] = "${text}";`).join("\n")}
`;
}

/** ccache's own counters, `name TAB number` a line: hits from the remote storage, and compilations it had to run. */
function readBuild(project: string, words: string): Build {
  const outputs = digestFiles(project, objects);
  const hits = ccacheCounter(words, "remote_storage_hit");
  return { hits, misses: ccacheCounter(words, "cache_miss"), words, outputs };
}

/** @throws Error when ccache does not print it. */
export function ccacheCounter(words: string, name: string): number {
  const count = new RegExp(`^${name}\\t(\\d+)$`, "m").exec(words)?.[1];
  if (count === undefined) throw new Error(`ccache prints no ${name}:\n${words}`);
  return Number(count);
}
